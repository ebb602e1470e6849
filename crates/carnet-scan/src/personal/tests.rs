//! Text in, kinds out.

use proptest::prelude::*;

use super::*;

fn check(profile: Profile, text: &str, expect: &[(&str, &str)]) {
    let met = find(text.as_bytes(), true, profile, Tier::Likely);
    let met: Vec<(&str, &str)> =
        met.iter().map(|it| (it.kind.id, &text[it.range.clone()])).collect();
    assert_eq!(met, expect, "{text}");
}

fn quiet(text: &str) {
    check(Profile::Commit, text, &[]);
}

#[test]
fn a_card_is_met_as_people_write_it() {
    let plain = ["4539", "1488", "0343", "6467"];
    let (joined, spaced, dashed) = (plain.concat(), plain.join(" "), plain.join("-"));
    for card in [joined, spaced, dashed] {
        check(Profile::Outbound, &format!("pay with {card}, please"), &[("pii-card", &card)]);
        check(Profile::Commit, &format!("card = \"{card}\""), &[("pii-card", &card)]);
    }
    quiet(&format!("card = \"{}\"", ["4111", "1111", "1111", "1111"].concat()));
    quiet(&format!("x = 0.{}", plain.concat()));
}

#[test]
fn an_account_number_is_met_in_groups_and_in_one_piece() {
    let iban = ["NL", "02", "ABNA", "0123", "4567", "89"];
    for iban in [
        iban.concat(),
        format!("{}{} {} {} {} {}", iban[0], iban[1], iban[2], iban[3], iban[4], iban[5]),
    ] {
        check(Profile::Commit, &format!("pay to {iban}."), &[("pii-iban", &iban)]);
    }
}

#[test]
fn an_ssn_wants_a_word_or_its_dashes() {
    let ssn = ["536", "90", "4399"];
    check(
        Profile::Commit,
        &format!("\"ssn\": \"{}\"", ssn.concat()),
        &[("pii-us-ssn", &ssn.concat())],
    );
    check(
        Profile::Outbound,
        &format!("it is {}", ssn.join("-")),
        &[("pii-us-ssn", &ssn.join("-"))],
    );
    quiet(&format!("className {}", ssn.concat()));
}

#[test]
fn the_header_of_a_column_says_what_its_numbers_are() {
    let ssn = ["536", "90", "4399"].concat();
    check(Profile::Commit, &format!("name,ssn\nada,{ssn}\n"), &[("pii-us-ssn", &ssn)]);
}

#[test]
fn telephone_numbers_are_met_with_and_without_country() {
    for number in [
        "+49 30 9018 2345",
        "+1 (415) 263-1874",
        "(415) 263-1874",
        "415-263-1874",
        "+442079460958",
        "030 90182345",
        "01 42 68 53 00",
        "98765 43210",
    ] {
        check(Profile::Outbound, &format!("phone: {number}"), &[("pii-phone", number)]);
    }
    quiet("created_at: 1700000000, id: 4152631874");
}

#[test]
fn mail_addresses_are_met_where_they_are_data() {
    let mail = ["ada.lovelace", "analytical.org"].join("@");
    check(Profile::Outbound, &format!("write to {mail}."), &[("pii-email", &mail)]);
    check(Profile::Commit, &format!("\"email\": \"{mail}\""), &[("pii-email", &mail)]);
    quiet(&format!("Co-authored-by: Ada <{mail}>"));
    quiet(&format!("authors = [\"Ada <{mail}>\"]"));
    quiet("email = 'ada@example.com'");
    check(Profile::Outbound, "ada@example.com, git@github.com:a/b, icon@2x.png", &[]);
}

#[test]
fn addresses_of_machines_that_name_nobody_are_quiet() {
    for quiet in [
        "192.0.2.7",
        "198.51.100.7",
        "203.0.113.7",
        "127.0.0.1",
        "1.3.6.1.4.1.311",
        "v1.2.3.4",
        "2001:db8::1",
        "::1",
    ] {
        check(Profile::Outbound, &format!("client {quiet}"), &[]);
    }
    check(Profile::Outbound, "client 84.112.33.7:443", &[("pii-ip", "84.112.33.7")]);
    check(Profile::Outbound, "from 2a02:8071:b58::1f", &[("pii-ip", "2a02:8071:b58::1f")]);
}

#[test]
fn dates_are_of_birth_where_a_word_says_so() {
    for date in ["1985-03-12", "12.03.1985", "3/12/1985", "12 March 1985", "March 12, 1985"] {
        check(Profile::Outbound, &format!("born on {date}, in"), &[("pii-birth-date", date)]);
        quiet(&format!("released on {date}, in"));
    }
}

#[test]
fn postal_addresses_have_street_and_place() {
    let address = "742 Evergreen Terrace, Springfield, IL 62704";
    check(Profile::Commit, &format!("address: {address}"), &[("pii-address", address)]);
    let address = "Hauptstraße 12, 10115 Berlin";
    check(Profile::Commit, &format!("Anschrift: {address}"), &[("pii-address", address)]);
    let address = "12 rue de la Paix, 75002 Paris";
    check(Profile::Outbound, &format!("adresse: {address}"), &[("pii-address", address)]);
    quiet("takes 12 Main Loop Iterations");
}

#[test]
fn passports_are_met_by_word_and_by_zone() {
    check(Profile::Commit, "passport no: C01X00T47", &[("pii-passport", "C01X00T47")]);
    let zone = [
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "\n",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    ]
    .concat();
    check(Profile::Commit, &zone, &[("pii-passport", &zone)]);
}

#[test]
fn what_code_is_full_of_is_quiet() {
    quiet(
        "const X: u64 = 0x1234567890abcdef; let t = 1699999999; let id = 550e8400-e29b-41d4-a716-446655440000;",
    );
    quiet("sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    quiet(
        "0.30000000000000004, 3.141592653589793, 1.7976931348623157e308, 4294967295, 9223372036854775807",
    );
    quiet("2026-11-22T19:55:09.123456789Z, 1.2.3, 10.0.0.1, 255.255.255.0");
}

proptest! {
    #[test]
    fn any_bytes_are_fine_and_regions_do_not_overlap(
        bytes in prop::collection::vec(prop::sample::select(b"0123456789 +-./()@:,<PABXx\nzss\xc3\x9f".to_vec()), 0..300)
    ) {
        for profile in [Profile::Commit, Profile::Outbound] {
            let met = find(&bytes, true, profile, Tier::Weak);
            prop_assert!(met.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
            prop_assert!(met.iter().all(|it| it.range.start < it.range.end && it.range.end <= bytes.len()));
        }
    }
}
