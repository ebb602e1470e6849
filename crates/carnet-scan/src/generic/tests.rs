use super::*;

fn read(text: &str, kind: Kind) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let found = kind.stems().iter().find_map(|stem| {
        let at = lower.find(stem)?;
        candidate(text.as_bytes(), at..at + stem.len(), kind)
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(found.value.len(), found.range.len());
    Some(format!("{} {:?} {}", text(found.name), found.separator, text(found.value)))
}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(read(text, Kind::Password).as_deref(), Some(expect), "{text}");
}

#[track_caller]
fn check_none(text: &str) {
    assert_eq!(read(text, Kind::Password), None, "{text}");
}

#[test]
fn names_are_given_values_in_many_ways() {
    check("db_password = 'k9Lq2'", "db_password Equals k9Lq2");
    check("\"password\": \"k9Lq2\",", "password Colon k9Lq2");
    check("{\\\"password\\\": \\\"k9Lq2\\\"}", "password Colon k9Lq2");
    check("my $password => \"k9Lq2\"", "password Arrow k9Lq2");
    check("if password == \"k9Lq2\" {", "password Compared k9Lq2");
    check("password.equals(\"k9Lq2\")", "password Compared k9Lq2");
    check("put(\"password\", \"k9Lq2\")", "password Comma k9Lq2");
    check("x.setPassword(\"k9Lq2\");", "x.setPassword Call k9Lq2");
    check("<password>k9Lq2</password>", "password Tag k9Lq2");
    check("<add key=\"SmtpPassword\" value=\"k9Lq2\" />", "SmtpPassword Attribute k9Lq2");
    check("const password: string = 'k9Lq2';", "password Typed k9Lq2");
    check("private String dbPassword = \"k9Lq2\";", "dbPassword Equals k9Lq2");
    check("POSTGRES_PASSWORD=k9Lq2\n", "POSTGRES_PASSWORD Equals k9Lq2");
    check("password 'k9Lq2'", "password Blank k9Lq2");
    check("config['password'] = b'k9Lq2'", "password Equals k9Lq2");
}

#[test]
fn what_is_no_literal_is_no_value() {
    for text in [
        "password = getPassword(user)",
        "password = values[0]",
        "password = ${DB}",
        "password: u32 = 4097u32",
        "password::new(\"k9Lq2\")",
        "\"Password:\", \"next\"",
        "password = 'never closed\n",
        "password = ''",
        "password",
        "pass",
    ] {
        check_none(text);
    }
}

#[test]
fn names_about_a_secret_are_passed_over() {
    for text in [
        "LABEL_PASSWORD: 'k9Lq2'",
        "password_hash = 'k9Lq2'",
        "password_id = 'k9Lq2'",
        "trivially_copy_pass_by_ref = 'k9Lq2'",
        "learned to pass '-v/-q' on",
        "compass = 'k9Lq2'",
    ] {
        check_none(text);
    }
}

#[test]
fn values_that_cannot_be_secrets_are_passed_over() {
    for value in
        ["changeme", "$2a$10$abcdefg", "/run/secrets/db.txt", "0x4f", "abcdefghijk", "пароль"]
    {
        check_none(&format!("password = '{value}'"));
    }
}

#[test]
fn the_file_of_weights_names_every_feature_once() {
    let text = include_str!("../../models/generic.txt");
    let named: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_ascii_whitespace().next())
        .collect();
    assert_eq!(named[..features::LEN], *features::NAMES);
    assert_eq!(named[features::LEN..], ["threshold"]);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let numbers = line.split_ascii_whitespace().skip(1);
        assert_eq!(numbers.filter(|number| number.parse::<f32>().is_ok()).count(), 2, "{line}");
    }
}

#[test]
fn the_table_of_trigrams_is_whole_and_small() {
    let table = include_bytes!("../../models/trigrams.bin");
    assert_eq!(table.len(), model::N_CLASSES.pow(3));
    let trigrams = model::Trigrams(table);
    assert!(trigrams.surprise(b"description") < trigrams.surprise(b"xq7vkz0rjwg"));
}

#[test]
fn names_fall_into_words() {
    let split = |name: &'static str| {
        let mut words = [&b""[..]; 12];
        let n_words = features::words(name.as_bytes(), &mut words);
        words[..n_words]
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(split("dbPassword2"), ["db", "Password2"]);
    assert_eq!(split("AWS_SECRET-key"), ["AWS", "SECRET", "key"]);
    assert_eq!(split("HTTPServerKey"), ["HTTP", "Server", "Key"]);
    assert_eq!(split("a.b__c"), ["a", "b", "c"]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_around_a_keyword_are_read(
        before in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        after in "[=:>\"'`\\\\ \\t\\n(){}a-zA-Z0-9$%,;<&é]{0,60}",
    ) {
        let text = [&before[..], b"password", after.as_bytes()].concat();
        let hit = before.len()..before.len() + 8;
        for kind in Kind::ALL {
            if let Some(found) = candidate(&text, hit.clone(), kind) {
                proptest::prop_assert_eq!(found.value, &text[found.range.clone()]);
                model::is_likely(&found);
            }
        }
    }
}
