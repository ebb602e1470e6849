//! Searches over small repositories in memory.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Memory, commit_of, current, path, refresh};
use crate::{Found, IndexError, IndexStore, Scope, SearchQuery, Snapshot, suspect_words};

const FILES: [(&str, &str); 6] = [
    (
        "src/config.py",
        "import os\n\n# Reads settings.\ndef parse_config(path):\n    \"\"\"Parse the configuration file.\"\"\"\n    return open(path).read()\n\nclass Loader:\n    \"\"\"Loads things.\"\"\"\n    def load_all(self):\n        # the exact phrase stands here\n        return [parse_config(p) for p in self.paths]\n",
    ),
    (
        "src/net.rs",
        "/// Opens a connection to the server.\npub fn connect(host: &str) -> Socket {\n    let retries = 3;\n    Socket::open(host, retries)\n}\n\npub struct Socket;\n",
    ),
    ("tests/test_config.py", "def test_parse_config():\n    assert parse_config('x')\n"),
    ("docs/guide.md", "# Guide\n\nHow to configure the\nserver before connecting.\n"),
    ("Cargo.lock", "[[package]]\nname = \"parse_config\"\n"),
    ("logo.bin.txt", "\0parse_config"),
];

fn ask(dir: &Path, snapshot: &Snapshot, memory: &Memory, query: &str, scope: &Scope) -> Found {
    let query = SearchQuery::parse(query).unwrap();
    snapshot.search(dir, &query, scope, memory).unwrap()
}

fn everything() -> Scope {
    Scope::new(&[], &[], &[], 10).unwrap()
}

/// Returns hits as text: `path:first-last NAME`.
fn texts(found: &Found) -> Vec<String> {
    let text = |hit: &crate::Hit| {
        let name = hit.symbol.as_ref().map_or("-".to_owned(), |it| it.qualified_name());
        format!("{}:{}-{} {name}", hit.path, hit.lines.start, hit.lines.end)
    };
    found.hits.iter().map(text).collect()
}

#[track_caller]
fn check(query: &str, scope: &Scope, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let (_, memory) = commit_of(1, &FILES);
    let found = ask(dir.path(), &current(dir.path()), &memory, query, scope);
    assert_eq!(texts(&found), expected, "{query}");
}

#[test]
fn a_name_finds_its_definition_first() {
    check(
        "parse_config",
        &everything(),
        &[
            "src/config.py:3-6 parse_config",
            "tests/test_config.py:1-2 test_parse_config",
            "src/config.py:10-12 Loader.load_all",
            "src/config.py:8-12 Loader",
            "src/config.py:1-1 -",
        ],
    );
}

#[test]
fn a_description_finds_what_it_describes() {
    let found = |query: &str| {
        let dir = tempfile::tempdir().unwrap();
        refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
        let (_, memory) = commit_of(1, &FILES);
        texts(&ask(dir.path(), &current(dir.path()), &memory, query, &everything()))[0].clone()
    };
    assert_eq!(found("parsing of configurations"), "src/config.py:3-6 parse_config");
    assert_eq!(found("connection to a server"), "src/net.rs:1-5 connect");
    assert_eq!(found("socket"), "src/net.rs:7-7 Socket");
}

#[test]
fn a_description_finds_what_shares_no_word_with_it() {
    const CODE: &str = "def shutdown(server):\n    server.socket.close()\n    server.running = False\n\n\
        def parse_date(text):\n    return strptime(text, '%Y-%m-%d')\n\n\
        def remove_file(path):\n    os.unlink(path)\n";
    let files = [("src/things.py", CODE)];
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &files);
    let (_, memory) = commit_of(1, &files);
    let found = |query: &str| {
        let found = ask(dir.path(), &current(dir.path()), &memory, query, &everything());
        texts(&found)[0].clone()
    };
    assert_eq!(found("delete from disk"), "src/things.py:8-9 remove_file");
    assert_eq!(found("stop listening for connections"), "src/things.py:1-3 shutdown");
}

#[test]
fn a_word_finds_the_words_of_its_stem() {
    let files =
        [("src/queries.py", "def queries():\n    return hoping\n\n\ndef other():\n    pass\n")];
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &files);
    let (_, memory) = commit_of(1, &files);
    let found =
        |query: &str| texts(&ask(dir.path(), &current(dir.path()), &memory, query, &everything()));
    for query in ["query", "querying", "hopes"] {
        assert_eq!(found(query)[0], "src/queries.py:1-2 queries", "{query}");
    }
    assert_eq!(found("hop_on"), Vec::<String>::new());
}

#[test]
fn a_description_leads_to_what_is_done_and_where() {
    let declared_on_lines = "pub trait Shelf {\n    fn put_back<T>(&self, book: T)\n    where\n        T: Book;\n}\n\n\
        impl Shelf for Wall {\n    fn put_back<T>(&self, book: T)\n    where\n        T: Book,\n    {\n        self.add(book)\n    }\n}\n";
    let files = [
        ("src/shelf.rs", declared_on_lines),
        (
            "src/store.ts",
            "export class Store {\n    save(entity: Entity): void;\n    save(entity: Entity, options: Options): void;\n\
         \x20   save(entity: Entity, options?: Options) {\n        return this.database.insert(entity, options);\n    }\n}\n",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &files);
    let (_, memory) = commit_of(1, &files);
    let first = |query: &str| {
        let found = ask(dir.path(), &current(dir.path()), &memory, query, &everything());
        texts(&found)[0].clone()
    };
    assert_eq!(first("saves an entity in the database"), "src/store.ts:4-6 Store.save");
    assert_eq!(first("puts a book back"), "src/shelf.rs:8-13 Wall.put_back");
}

#[test]
fn a_name_that_says_what_the_description_says_counts_more_and_less_where_many_have_it() {
    let files = [
        (
            "a.py",
            "def write_row(row):\n    sheet.append(row)\n\n\ndef list_rows(sheet):\n    return sheet.rows\n",
        ),
        ("b.py", "def write(row):\n    sheet.append(row)\n"),
        (
            "c.py",
            "def write(row):\n    sheet.append(row)\n\n\ndef row_write(row):\n    sheet.append(row)\n",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &files);
    let (_, memory) = commit_of(1, &files);
    let rules = |query: &str| {
        let found = ask(dir.path(), &current(dir.path()), &memory, query, &everything());
        let text = |hit: &crate::Hit| {
            let (_, factor) = hit.parts.iter().find(|(part, _)| *part == "rules").unwrap();
            format!("{} {factor:.2}", hit.symbol.as_ref().map_or("-", |it| &it.name))
        };
        found.hits.iter().map(text).collect::<BTreeSet<_>>()
    };
    let of = |all: [&str; 4]| all.map(str::to_owned).into_iter().collect::<BTreeSet<_>>();
    let expected = ["write_row 1.13", "write 1.11", "row_write 1.06", "list_rows 1.00"];
    assert_eq!(rules("writes a row into the sheet"), of(expected));
    // No description: names alone count.
    let expected = ["write_row 1.30", "write 1.00", "row_write 1.00", "list_rows 1.00"];
    assert_eq!(rules("write_row row_writer"), of(expected));
}

/// Eleven hundred units that have the words asked for, which is more than are ranked; every third is a test's, so the rules turn
/// their order around.
#[test]
fn a_few_hits_are_the_first_of_many() {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<(String, String)> = (0..1_100)
        .map(|at| {
            let dir = if at % 3 == 0 { "tests" } else { "src" };
            let more = "    frobnicate(widget)\n".repeat(1 + at % 7);
            (format!("{dir}/f{at}.py"), format!("def widget_{at}(widget):\n{more}"))
        })
        .collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &files);
    let (_, memory) = commit_of(1, &files);
    let snapshot = current(dir.path());
    for query in ["frobnicate", "frobnicate the widget", "widget_7 frobnicate"] {
        let hits = |n: usize| {
            let scope = Scope::new(&[], &[], &[], n).unwrap();
            texts(&ask(dir.path(), &snapshot, &memory, query, &scope))
        };
        let many = hits(100);
        assert_eq!(many.len(), 100);
        for n in [1, 2, 10, 60] {
            assert_eq!(hits(n), many[..n], "{query}");
        }
    }
}

#[test]
fn a_phrase_stands_as_it_is_also_across_lines() {
    check("\"the exact phrase\"", &everything(), &["src/config.py:10-12 Loader.load_all"]);
    check("\"configure the server\"", &everything(), &["docs/guide.md:1-4 -"]);
    check("\"phrase exact\"", &everything(), &[]);
    check("\"open(path)\"", &everything(), &["src/config.py:3-6 parse_config"]);
    check(
        "\"self.paths\" \"parse_config(p)\"",
        &everything(),
        &["src/config.py:10-12 Loader.load_all"],
    );
}

#[test]
fn an_expression_matches_the_text() {
    check(r"/Socket::\w+\(/", &everything(), &["src/net.rs:1-5 connect"]);
    check(r"/^import os$/", &everything(), &["src/config.py:1-1 -"]);
    check(r"/retr.es = \d/", &everything(), &["src/net.rs:1-5 connect"]);
    check(r"/z[q]z/", &everything(), &[]);
    check(r"socket /\bhost\b/", &everything(), &["src/net.rs:1-5 connect"]);
}

#[test]
fn a_scope_leaves_out_what_is_outside() {
    let scope = |paths: &[&str], languages: &[&str], kinds: &[&str]| {
        let owned =
            |list: &[&str]| -> Vec<String> { list.iter().map(|it| (*it).to_owned()).collect() };
        Scope::new(&owned(paths), &owned(languages), &owned(kinds), 10).unwrap()
    };
    check(
        "parse_config",
        &scope(&["tests"], &[], &[]),
        &["tests/test_config.py:1-2 test_parse_config"],
    );
    check(
        "parse_config",
        &scope(&["t*/*.py"], &[], &[]),
        &["tests/test_config.py:1-2 test_parse_config"],
    );
    check("parse_config", &scope(&["*.py"], &[], &[]), &[]);
    check("server", &scope(&[], &["markdown"], &[]), &["docs/guide.md:1-4 -"]);
    check("server", &scope(&[], &["rust"], &[]), &["src/net.rs:1-5 connect"]);
    check("parse_config", &scope(&[], &[], &["method"]), &["src/config.py:10-12 Loader.load_all"]);
    check("server", &scope(&[], &[], &["text"]), &["docs/guide.md:1-4 -"]);
    let error = Scope::new(&[], &[], &["thing".to_owned()], 1).unwrap_err();
    assert!(error.contains("there is no kind `thing`") && error.contains("method"), "{error}");
    assert!(Scope::new(&["a[".to_owned()], &[], &[], 1).is_err());
}

#[test]
fn a_type_shows_its_own_lines_and_not_those_of_what_it_holds() {
    let methods: String =
        (0..30).map(|at| format!("    def needle_{at}(self):\n        return needle\n")).collect();
    let source = format!("class Big:\n    \"\"\"Holds a needle.\"\"\"\n{methods}");
    let files = [("a.py", source.as_str())];
    let (dir, snapshot) = super::snapshot_of(&files);
    let scope = Scope::new(&[], &[], &["class".to_owned()], 1).unwrap();
    let (_, memory) = commit_of(1, &files);
    let found = ask(dir.path(), &snapshot, &memory, "needle", &scope);
    assert_eq!(texts(&found), ["a.py:1-62 Big"]);
    assert_eq!(found.hits[0].snippet, ["class Big:", "    \"\"\"Holds a needle.\"\"\""]);
}

#[test]
fn what_is_not_searched_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let (_, mut memory) = commit_of(1, &FILES);
    let found = ask(dir.path(), &current(dir.path()), &memory, "parse_config", &everything());
    assert_eq!((found.n_files_left_out, found.n_files_missing, found.n_total), (2, 0, 5));
    let hit = &found.hits[0];
    assert_eq!(hit.snippet[0], "# Reads settings.");
    assert_eq!(
        hit.citation().to_string(),
        format!("src/config.py#L3-L6@{}", &hit.blob_id.to_string()[..12])
    );
    assert!(hit.parts.iter().any(|(name, points)| *name == "name" && *points > 0.0));
    // Text that cannot be read any more leaves the place.
    memory.blobs.clear();
    let found = ask(dir.path(), &current(dir.path()), &memory, "parse_config", &everything());
    assert_eq!((found.hits.len(), found.hits[0].snippet.len()), (5, 0));
}

/// Answers to many questions, with scores to the last bit.
fn answers(dir: &Path, snapshot: &Snapshot, memory: &Memory) -> Vec<String> {
    let queries =
        ["parse_config", "server connection", "\"the exact phrase\"", "/\\w+_config/", "load"];
    let mut answers = Vec::new();
    for query in queries {
        let found = ask(dir, snapshot, memory, query, &everything());
        for (hit, text) in found.hits.iter().zip(texts(&found)) {
            answers.push(format!("{query}: {text} {:x} {:?}", hit.score.to_bits(), hit.snippet));
        }
    }
    answers
}

#[test]
fn a_refresh_answers_like_a_rebuild_whatever_was_indexed_before() {
    let dir = tempfile::tempdir().unwrap();
    let other: Vec<(String, String)> = (0..40)
        .map(|at| {
            (
                format!("old/f{at}.py"),
                format!("def parse_config_{at}():\n    server = connection\n"),
            )
        })
        .collect();
    let other: Vec<(&str, &str)> = other.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    for commit in 1..4 {
        refresh(&mut IndexStore::open(dir.path()).unwrap(), commit, &other[usize::from(commit)..]);
        refresh(
            &mut IndexStore::open(dir.path()).unwrap(),
            commit + 4,
            &FILES[..usize::from(commit)],
        );
    }
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 9, &FILES);
    let clean = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(clean.path()).unwrap(), 9, &FILES);
    let (_, memory) = commit_of(9, &FILES);
    let expected = answers(clean.path(), &current(clean.path()), &memory);
    assert!(expected.len() > 10, "{expected:?}");
    assert_eq!(answers(dir.path(), &current(dir.path()), &memory), expected);
}

#[test]
fn a_reader_of_an_older_snapshot_gets_that_snapshot_s_answers() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = IndexStore::open(dir.path()).unwrap();
    refresh(&mut store, 1, &FILES);
    let (_, memory) = commit_of(1, &FILES);
    let old = current(dir.path());
    let before = answers(dir.path(), &old, &memory);
    refresh(&mut store, 2, &FILES[1..3]);
    assert_eq!(answers(dir.path(), &old, &memory), before);
    let new = ask(dir.path(), &current(dir.path()), &memory, "parse_config", &everything());
    assert_eq!(texts(&new), ["tests/test_config.py:1-2 test_parse_config"]);
}

#[test]
fn dead_documents_are_cleared_away_and_kept_snapshots_keep_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let many = |round: usize| -> Vec<(String, String)> {
        (0..30)
            .map(|at| {
                let text: String =
                    (0..40).map(|f| format!("def f_{round}_{at}_{f}():\n    pass\n")).collect();
                (format!("f{at}.py"), text)
            })
            .collect()
    };
    let mut kept = Vec::new();
    for round in 0..7 {
        let files = many(round);
        let files: Vec<(&str, &str)> =
            files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        refresh(&mut IndexStore::open(dir.path()).unwrap(), round as u8, &files);
        kept.push((round, current(dir.path()), commit_of(round as u8, &files).1));
    }
    let words = crate::words::documents(dir.path()).unwrap();
    assert!(words < 7 * 1_200, "{words} documents are left");
    for (round, snapshot, memory) in &kept[4..] {
        let found = ask(dir.path(), snapshot, memory, &format!("f_{round}_3_7"), &everything());
        assert_eq!(texts(&found)[0], format!("f3.py:15-16 f_{round}_3_7"));
        assert_eq!(found.n_files_missing, 0);
    }
    // One that was pruned long ago says that its words are gone.
    let found = ask(dir.path(), &kept[0].1, &kept[0].2, "f_0_3_7", &everything());
    assert_eq!((found.hits.len(), found.n_files_missing), (0, 30));
}

fn files_of_words(dir: &Path) -> BTreeSet<std::path::PathBuf> {
    fs::read_dir(dir.join("words")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn damaged_words_are_begun_anew_by_the_next_refresh() {
    let whole = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(whole.path()).unwrap(), 1, &FILES);
    let (_, memory) = commit_of(1, &FILES);
    let expected = answers(whole.path(), &current(whole.path()), &memory);
    for file in files_of_words(whole.path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".lock") || name == ".managed.json" {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
        // Names of parts differ from index to index: take the one that ends alike.
        let ending =
            if name == "meta.json" { "/meta.json" } else { name.rsplit('.').next().unwrap() };
        let damaged = files_of_words(dir.path());
        let damaged = damaged.iter().find(|it| it.to_str().unwrap().ends_with(ending)).unwrap();
        let mut bytes = fs::read(damaged).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        if name == "meta.json" {
            bytes.truncate(middle); // It has no checksum: what is cut off is seen.
        }
        fs::write(damaged, bytes).unwrap();
        let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
        assert!(report.words_begun_anew.is_some(), "{name}");
        assert!(dir.path().join("words.damaged").is_dir(), "{name}");
        assert_eq!(answers(dir.path(), &current(dir.path()), &memory), expected, "{name}");
    }
}

#[test]
fn words_that_are_gone_or_suspected_make_the_snapshot_stale() {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let snapshot = current(dir.path());
    let (_, memory) = commit_of(1, &FILES);
    let expected = answers(dir.path(), &snapshot, &memory);
    suspect_words(dir.path()).unwrap();
    assert!(Snapshot::open_current(dir.path()).unwrap_err().is_healed_by_rebuild());
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    assert!(report.words_begun_anew.unwrap().contains("met damage"));
    assert_eq!(answers(dir.path(), &current(dir.path()), &memory), expected);
    fs::remove_dir_all(dir.path().join("words")).unwrap();
    let query = SearchQuery::parse("x").unwrap();
    let error = snapshot.search(dir.path(), &query, &everything(), &memory).unwrap_err();
    assert!(matches!(error, IndexError::Words { is_damaged: true, .. }), "{error}");
    assert!(Snapshot::open_current(dir.path()).unwrap_err().is_healed_by_rebuild());
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    assert!(report.words_begun_anew.is_none());
    assert_eq!(answers(dir.path(), &current(dir.path()), &memory), expected);
}

#[test]
fn words_that_a_killed_writer_never_finished_are_made_before_anything_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    let (_, memory) = commit_of(1, &FILES);
    let expected = answers(dir.path(), &current(dir.path()), &memory);
    fs::remove_file(dir.path().join("words/version")).unwrap();
    assert!(Snapshot::open_current(dir.path()).unwrap_err().is_healed_by_rebuild());
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    assert!(report.words_begun_anew.is_none() && !dir.path().join("words.damaged").exists());
    assert_eq!(answers(dir.path(), &current(dir.path()), &memory), expected);
}

#[test]
fn words_of_another_version_are_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    fs::write(dir.path().join("words/version"), "0.0\n").unwrap();
    let report = refresh(&mut IndexStore::open(dir.path()).unwrap(), 1, &FILES);
    assert!(report.words_begun_anew.unwrap().contains("another version"));
}

#[test]
fn a_blob_that_cannot_be_read_is_counted_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (request, memory) = commit_of(1, &FILES);
    let mut half = Memory { blobs: memory.blobs.clone(), ..Memory::default() };
    half.blobs.retain(|id, _| {
        request.files.iter().any(|it| it.blob == *id && it.path != path("docs/guide.md"))
    });
    let now = carnet_core::Timestamp::from_millis(1);
    IndexStore::open(dir.path()).unwrap().refresh(&request, &half, now).unwrap();
    let found = ask(dir.path(), &current(dir.path()), &memory, "guide", &everything());
    assert_eq!((found.hits.len(), found.n_files_missing), (0, 1));
    IndexStore::open(dir.path()).unwrap().refresh(&request, &memory, now).unwrap();
    let found = ask(dir.path(), &current(dir.path()), &memory, "guide", &everything());
    assert_eq!((found.hits.len(), found.n_files_missing), (1, 0));
}

#[test]
fn a_low_ceiling_of_memory_leaves_out_vectors_then_bodies_and_never_symbols() {
    let dir = tempfile::tempdir().unwrap();
    let source = "def parse_config(path):\n    \"\"\"Reads it.\"\"\"\n    return zebra(path)\n";
    let (mut request, memory) = commit_of(1, &[("a.py", source), ("b.py", "parse_config(1)\n")]);
    let mut refresh = |mib: Option<u64>| {
        request.memory_bytes_max = mib.map(|mib| mib << 20);
        let mut store = IndexStore::open(dir.path()).unwrap();
        store.refresh(&request, &memory, carnet_core::Timestamp::from_millis(1)).unwrap()
    };
    let look = |text: &str| {
        let (query, scope) = (SearchQuery::parse(text).unwrap(), Scope::new(&[], &[], &[], 10));
        let snapshot = current(dir.path());
        assert_eq!(snapshot.who_calls("parse_config").unwrap().candidates.len(), 1);
        let found = snapshot.search(dir.path(), &query, &scope.unwrap(), &memory).unwrap();
        (found.n_total > 0, found.left_out)
    };
    let digest = refresh(None).content_digest;
    let vectors = || std::fs::metadata(dir.path().join("words/vectors")).unwrap().len();
    let whole = vectors();
    assert_eq!(look("zebra"), (true, None));
    for (mib, left_out, has_bodies) in
        [(150, Some("vectors"), true), (1, Some("vectors and bodies"), false), (600, None, true)]
    {
        let report = refresh(Some(mib));
        assert_eq!(report.content_digest, digest, "{mib}");
        assert!(report.words_begun_anew.unwrap().contains("memory"), "{mib}");
        assert_eq!(look("parse_config"), (true, left_out), "{mib}");
        assert_eq!(look("zebra").0, has_bodies, "{mib}");
        assert_eq!(vectors() == whole, left_out.is_none(), "{mib}");
        assert_eq!(refresh(Some(mib)).words_begun_anew, None);
    }
}
