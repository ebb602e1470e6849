//! Personal data at the gate: what a commit may not bring, what is quiet, and what only warns.

use crate::support::{Walk, everyone};

fn walk() -> Walk {
    Walk::initialised("echo hello >README", everyone()[0])
}

fn card() -> String {
    ["4539", "1488", "0343", "6467"].concat()
}

fn ssn() -> String {
    ["536", "90", "4399"].join("-")
}

fn mail(who: &str) -> String {
    [who, "analytical.org"].join("@")
}

/// Tries to commit a file, and returns what was said when the exit code is the expected one.
fn commit(walk: &Walk, path: &str, text: &str, code: i32) -> String {
    walk.write(path, text);
    walk.git(&["add", "-A"]).expect_code(0);
    walk.git(&["commit", "-qm", "next"]).expect_code(code).stderr
}

#[test]
fn a_number_with_check_digits_and_its_word_is_refused_and_never_shown() {
    for who in everyone() {
        let walk = Walk::initialised("echo hello >README", *who);
        for (text, rule) in [
            (format!("card_number = \"{}\"\n", card()), "pii-card"),
            (format!("name,ssn\nada,{}\n", ssn()), "pii-us-ssn"),
        ] {
            let said = commit(&walk, "customers.csv", &text, 1);
            assert!(said.contains(rule), "{said}");
            assert!(!said.contains(&card()) && !said.contains(&ssn()), "{said}");
        }
    }
}

#[test]
fn what_is_encoded_is_found_too() {
    let walk = walk();
    let text = format!("name;city\nhis social security number is {}\n", ssn());
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let said = commit(&walk, "blob.txt", &format!("data = {hex}\n"), 1);
    assert!(said.contains("pii-us-ssn") && said.contains("in hexadecimal"), "{said}");
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    walk.write("blob.txt", wide);
    walk.git(&["add", "-A"]).expect_code(0);
    let said = walk.git(&["commit", "-qm", "next"]).expect_code(1).stderr;
    assert!(said.contains("in UTF-16"), "{said}");
}

#[test]
fn what_is_likely_warns_and_what_is_published_is_quiet() {
    let walk = walk();
    let said = commit(&walk, "users.json", &format!("{{\"email\": \"{}\"}}\n", mail("ada")), 0);
    assert!(said.contains("pii-email") && said.contains("goes on"), "{said}");
    let me = walk.ask(&["config", "user.email"]);
    for (path, text) in [
        ("AUTHORS", format!("Ada Lovelace <{}>\n", mail("ada.l"))),
        (".mailmap", format!("Ada <{}> <{}>\n", mail("ada.l"), mail("ada.k"))),
        ("Cargo.toml", format!("email = \"{}\"\n", mail("ada.m"))),
        ("me.json", format!("{{\"email\": \"{me}\"}}\n")),
        ("notes.md", "mail ada@example.org, client ip 192.0.2.7, 2001:db8::1, v1.2.3.4\n".to_owned()),
        ("ids.txt", "550e8400-e29b-41d4-a716-446655440000 1700000000 0.30000000000000004\n".to_owned()),
        ("COPYING", "Copyright (C) Free Software Foundation, Inc., 51 Franklin Street, Fifth Floor, Boston, MA 02110\n".to_owned()),
    ] {
        assert_eq!(commit(&walk, path, &text, 0), "", "{path}");
    }
    walk.write("z", "z");
    walk.git(&["add", "-A"]).expect_code(0);
    let trailer = format!("next\n\nCo-authored-by: Ada <{}>\n", mail("ada.n"));
    assert_eq!(walk.git(&["commit", "-qm", &trailer]).expect_code(0).stderr, "");
}

#[test]
fn only_what_a_commit_adds_counts() {
    let walk = walk();
    walk.commit_round_the_hook(&[("old.csv", &format!("name,ssn\nada,{}\n", ssn()))]);
    assert_eq!(commit(&walk, "old.csv", &format!("name,ssn\nada,{}\nadd,no\n", ssn()), 0), "");
    let said = walk.carnet(&["scan", "--tree", "HEAD"]).expect_code(1);
    let said = said.stdout + &said.stderr;
    assert!(said.contains("pii-us-ssn"), "{said}");
}
