use std::{path::Path, process::Command};

use super::*;

fn check(normaliser: Normaliser, text: &str, expect: &str) {
    let normalised = normalise(text.as_bytes(), &[normaliser]);
    assert_eq!(String::from_utf8(normalised).unwrap(), expect, "{text:?}");
}

#[test]
fn names_of_temporary_files_are_replaced_and_other_names_stay() {
    for (name, rest) in [
        ("/tmp/tmpx1y2z3w4", "/out.o"),
        ("/tmp/ccAb12Cd.o", ": file not found"),
        ("/var/tmp/portage-1", "."),
        ("tmp.Ab3dE5fG7h", ""),
        ("tmp_x1y2z3_", ".py"),
    ] {
        let replaced = format!("in <temporary>{rest}");
        check(Normaliser::TempNames, &format!("in {name}{rest}"), &replaced);
    }
    for text in
        ["/tmp", "/tmp/", "x/tmp", "tmp", "tmpfile", "tmpx1y2z3w45", "tmp.c", "atmpx1y2z3w4"]
    {
        check(Normaliser::TempNames, text, text);
    }
}

#[test]
fn dates_are_replaced_and_other_numbers_stay() {
    for date in [
        "2026-11-22",
        "2026-11-22T18:31:10Z",
        "2026-11-22 18:31:10.123456+02:00",
        "2026-11-22 18:31",
        "2026/11/22 18:31:10",
        "18:31:10",
        "18:31:10,123",
        "Sun Nov 22 18:31:10 2026",
        "Sun Nov 22 18:31:10 UTC 2026",
        "Sun, 22 Nov 2026 18:31:10 +0000",
        "Nov 22 2026",
        "Nov  2 2026 18:31:10",
    ] {
        check(Normaliser::Dates, &format!("at {date}, then"), "at <date>, then");
    }
    for text in [
        "1.2.3",
        "2026-11-221",
        "12026-11-22",
        "118:31:10",
        "a18:31:10",
        "Abc Def 22 18:31:10 2026 x",
        "é 1",
    ] {
        if text.starts_with("Abc") {
            check(Normaliser::Dates, text, "Abc Def 22 <date> 2026 x");
        } else {
            check(Normaliser::Dates, text, text);
        }
    }
}

#[test]
fn durations_and_addresses_are_replaced_as_words() {
    for duration in ["0.52s", "12ms", "12 ms", "1.5 seconds", "1m30s", "0m0.012s", "7µs"] {
        check(Normaliser::Durations, &format!("in {duration}\n"), "in <duration>\n");
    }
    for text in ["12 monkeys", "v1.2s3", "s", "3 apples"] {
        check(Normaliser::Durations, text, text);
    }
    check(Normaliser::Addresses, "<a at 0x7f21c0>", "<a at <address>>");
    check(Normaliser::Addresses, "0x1f 0xzz", "0x1f 0xzz");
}

#[test]
fn lines_are_sorted_whole() {
    check(Normaliser::LineOrder, "b\na\n", "a\nb\n");
    check(Normaliser::LineOrder, "b\na", "a\nb");
    assert_ne!(
        normalise(b"a\na\n", &[Normaliser::LineOrder]),
        normalise(b"a\n", &[Normaliser::LineOrder])
    );
}

#[test]
fn binary_data_is_no_text() {
    let bytes = b"18:31:10\0";
    assert_eq!(normalise(bytes, &Normaliser::ALL), bytes);
    let bytes = b"18:31:10\xff";
    assert_eq!(normalise(bytes, &Normaliser::ALL), bytes);
}

fn shell(dir: &Path, script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(dir).status().unwrap();
    assert!(ran.success(), "{script}");
}

/// Makes an archive twice by `script`, at other times and in another order, and a third time of other contents.
fn check_archive(tool: &str, script: &str) {
    let has_tool = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
    if !has_tool.status.success() {
        eprintln!("not tried here: there is no {tool}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = |when: &str, members: &str, content: &str| {
        shell(
            dir.path(),
            &format!(
                "rm -rf in out; mkdir in; cd in; echo {content} >a; echo two >b; touch -d '{when}' a b; MEMBERS='{members}'; {script}"
            ),
        );
        std::fs::read(dir.path().join("out")).unwrap()
    };
    let then = made("2020-01-02 03:04:06", "a b", "one");
    let now = made("2024-05-06 07:08:10", "b a", "one");
    let other = made("2020-01-02 03:04:06", "a b", "changed");
    let archive = |bytes: &[u8]| normalise(bytes, &[Normaliser::Archive]);
    assert_ne!(then, now, "{tool}");
    assert_eq!(archive(&then), archive(&now), "{tool}");
    assert_ne!(archive(&then), archive(&other), "{tool}");
    // A byte that is changed or cut off is no time of a member, wherever it stands in the contents.
    for cut in [then.len() - 1, 600, 100] {
        assert_ne!(archive(&then), archive(&then[..cut.min(then.len() - 1)]), "{tool} {cut}");
    }
    let mut longer = then.clone();
    longer.push(b'x');
    assert_ne!(archive(&then), archive(&longer), "{tool}");
}

#[test]
fn archives_made_at_another_time_and_in_another_order_are_the_same() {
    check_archive("tar", "tar --format=gnu -cf ../out $MEMBERS");
    check_archive("tar", "tar --format=pax -cf ../out $MEMBERS");
    check_archive("tar", "tar -czf ../out $MEMBERS");
    check_archive("zip", "zip -q ../out.zip $MEMBERS && mv ../out.zip ../out");
    check_archive("zip", "zip -q0X ../out.zip $MEMBERS && mv ../out.zip ../out");
    check_archive("ar", "ar qcU ../out $MEMBERS");
    check_archive("gzip", "cat a b >c && touch -r a c && gzip -c c >../out");
}

#[test]
fn a_mode_and_a_name_are_no_times() {
    let dir = tempfile::tempdir().unwrap();
    let made = |script: &str| {
        shell(dir.path(), &format!("rm -f a b out; {script}"));
        normalise(&std::fs::read(dir.path().join("out")).unwrap(), &[Normaliser::Archive])
    };
    let plain = made("echo x >a; chmod 644 a; tar -cf out a");
    assert_ne!(plain, made("echo x >a; chmod 755 a; tar -cf out a"));
    assert_ne!(plain, made("echo x >b; chmod 644 b; tar -cf out b"));
}

#[test]
fn byte_code_is_compared_without_the_time_of_its_source() {
    let code = |mtime: u8, flags: u8, body: &[u8]| {
        [b"\xa7\x0d\r\n".as_slice(), &[flags, 0, 0, 0], &[mtime; 4], &[9; 4], b"\xe3", body]
            .concat()
    };
    let archive = |bytes: Vec<u8>| normalise(&bytes, &[Normaliser::Archive]);
    assert_eq!(archive(code(1, 0, b"x")), archive(code(2, 0, b"x")));
    assert_ne!(archive(code(1, 0, b"x")), archive(code(1, 0, b"y")));
    // With a flag set the second field is a hash of the source, and counts.
    assert_ne!(archive(code(1, 1, b"x")), archive(code(2, 1, b"x")));
}

#[test]
fn a_gzip_bomb_and_a_deep_nesting_end() {
    let dir = tempfile::tempdir().unwrap();
    shell(
        dir.path(),
        "head -c 2000000 /dev/zero >x; for i in 1 2 3 4 5 6; do gzip -nf x; mv x.gz x; done",
    );
    let nested = std::fs::read(dir.path().join("x")).unwrap();
    let _ = normalise(&nested, &Normaliser::ALL);
    let mut small = Budget { bytes: 1000, depth: 4 };
    let once = {
        shell(dir.path(), "head -c 2000000 /dev/zero | gzip -n >y");
        std::fs::read(dir.path().join("y")).unwrap()
    };
    assert_eq!(archive::members(&once, &mut small), None);
}
