use super::{check, check_imports};
use crate::Language::{C, Cpp};

#[test]
fn what_c_defines_is_seen_and_what_it_declares_is_not() {
    check(
        C,
        r#"
#ifndef LIST_H
#define LIST_H
#define LIMIT 3
        ^^^^^ def macro LIMIT
#define MAX(a, b) ((a) > (b) ? (a) : (b))
        ^^^ def macro MAX
struct list;
extern int known;
int known = 3, *more;
    ^^^^^ def variable known
                ^^^^ def variable more
typedef struct node { int n; struct node *next; } node_t;
                                                  ^^^^^^ def type node_t
               ^^^^ def struct node
union both { int a; float b; };
      ^^^^ def union both
enum colour { RED, BLUE = 2 };
     ^^^^^^ def enum colour
              ^^^ def variant colour.RED in colour
                   ^^^^ def variant colour.BLUE in colour
typedef int (*compare_fn)(const void *, const void *);
              ^^^^^^^^^^ def type compare_fn
static int (*handler)(int) = first;
             ^^^^^^^ def variable handler
int prototype(int a);
static struct node *make(int n, int (*given)(int))
                    ^^^^ def function make
{
    int local = given(n);
                ^^^^^ call given local from make
    struct node *it = malloc(sizeof(*it));
                      ^^^^^^ call malloc from make
    it->free(MAX(local, 1));
        ^^^^ call free value it local from make
             ^^^ call MAX from make
    return it;
}
#endif
"#,
    );
}

#[test]
fn cpp_members_belong_to_their_class_wherever_they_are_written() {
    check(
        Cpp,
        r#"
namespace store {
          ^^^^^ def module store
class Reader : public Base {
      ^^^^^^ def class store.Reader in store
public:
    Reader() : n_(0) { open(); }
    ^^^^^^ def method store.Reader.Reader in store.Reader
                       ^^^^ call open from store.Reader.Reader
    virtual int read(int n) = 0;
                ^^^^ def method store.Reader.read in store.Reader
    int size() const { return this->count(); }
        ^^^^ def method store.Reader.size in store.Reader
                                    ^^^^^ call count own store.Reader from store.Reader.size
    void close();
    int n_;
};
template <typename T> T pick(T a) { return other::pick<T>(a); }
                        ^^^^ def function store.pick in store
                                                  ^^^^ call pick path other from store.pick
}
void store::Reader::close() { auto f = [&](int k) { done(k); }; f(1); }
                    ^^^^^ def method store.Reader.close
                                                    ^^^^ call done from store.Reader.close
                                                                ^ call f local from store.Reader.close
bool operator==(const Reader &a, const Reader &b) { return a.same(b); }
     ^^^^^^^^^^ def function operator==
                                                             ^^^^ call same value a local from operator==
using Name = std::string;
      ^^^^ def type Name
enum class Kind : int { One };
           ^^^^ def enum Kind
                        ^^^ def variant Kind.One in Kind
Reader *make() { return new Reader(3); }
        ^^^^ def function make
                            ^^^^^^ call Reader new from make
TEST(Suite, Name) { check(1); }
                    ^^^^^ call check
extern "C" { int plain(void) { return 0; } }
                 ^^^^^ def function plain
"#,
    );
}

#[test]
fn includes_keep_quotes_and_brackets_apart() {
    check_imports(C, "#include \"a/b.h\"\n#include <stdio.h>\n", &["a/b.h glob", "<stdio.h> glob"]);
}
