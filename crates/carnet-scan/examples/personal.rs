//! Measures the search for personal data.
//!
//! - `personal planted` plants made-up values, as people write them, in prose, tables, forms, code and logs, beside a word that
//!   speaks of them and (where the form alone is enough) without one, and prints per kind how many are met. The generator has
//!   its own arithmetic, and the same values come at every run.
//! - `personal clean DIR… [--list]` looks at every file below each DIR by the profile of commits, and prints alarms for each
//!   MB and the speed of the search alone, in processor time of one thread.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

mod common;

use std::{collections::BTreeMap, env, error::Error, fs, path::Path};

use carnet_scan::{Profile, Tier, personal_data};

/// Values of each kind.
const N_VALUES: usize = 200;
/// Kinds whose form says enough without a word: check digits, or a form that little else has.
const FORM_IS_ENOUGH: &[&str] = &["card", "iban", "phone", "email", "ip", "address"];
/// Files larger than this are no source.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["planted", rest @ ..] => planted(rest.contains(&"--list")),
        ["clean", dirs @ ..] if !dirs.is_empty() => clean(dirs)?,
        _ => return Err("usage: personal planted | clean DIR… [--list]".into()),
    }
    Ok(())
}

/// A generator of numbers (xorshift64*), the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    fn digits(&mut self, n: usize) -> String {
        (0..n).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }
}

/// A kind, the words people put before it, and how values of it are made.
type Planted = (&'static str, &'static [&'static str], fn(&mut Random) -> String);

const KINDS: &[Planted] = &[
    ("card", &["card", "credit card number", "kreditkarte", "visa", "card number"], card),
    ("iban", &["iban", "account", "bankverbindung"], iban),
    ("ssn", &["ssn", "social security number", "social security"], ssn),
    ("npi", &["npi"], npi),
    ("phone", &["phone", "mobile", "tel", "phone number", "fax", "telefon", "whatsapp"], phone),
    ("email", &["email", "e-mail"], email),
    ("ip", &["client ip", "remote_addr", "ip address"], ip),
    ("birth date", &["dob", "date of birth", "birthday", "geburtsdatum", "birth date"], birth),
    ("address", &["address", "shipping address", "home address", "anschrift"], address),
    ("passport", &["passport", "passport number", "passport no", "reisepass"], passport),
    ("gb-nhs", &["nhs number"], |r| {
        until(r, |r| r.digits(10), |it| last(it, |it| (11 - weigh(it, 10, -1) % 11) % 11))
    }),
    ("nl-bsn", &["bsn"], |r| {
        until(
            r,
            |r| r.digits(9),
            |it| (weigh(&it[..8], 9, -1) + 110 - number(&it[8..])).is_multiple_of(11),
        )
    }),
    ("ca-sin", &["sin"], |r| {
        grouped(r, &[3, 3, 3], |r| until(r, |r| format!("{}{}", r.range(1, 8), r.digits(8)), luhn))
    }),
    ("br-cpf", &["cpf"], cpf),
    ("es-dni", &["dni"], |r| {
        let body = r.digits(8);
        let letter = "TRWAGMYFPDXBNJZSQVHLCKE".as_bytes()[(number(&body) % 23) as usize];
        format!("{body}{}", char::from(letter))
    }),
    ("fr-nir", &["nir", "numéro de sécurité sociale"], |r| {
        let body = format!(
            "{}{:02}{:02}{:02}{}",
            r.range(1, 3),
            r.below(100),
            r.range(1, 13),
            r.range(1, 95),
            r.digits(6)
        );
        format!("{body}{:02}", 97 - number(&body) % 97)
    }),
    ("pl-pesel", &["pesel"], |r| {
        until(
            r,
            |r| {
                format!(
                    "{:02}{:02}{:02}{}",
                    r.below(100),
                    r.range(1, 13),
                    r.range(1, 29),
                    r.digits(5)
                )
            },
            |it| {
                let weights = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
                it.bytes()
                    .zip(weights)
                    .map(|(d, w)| u64::from(d - b'0') * w)
                    .sum::<u64>()
                    .is_multiple_of(10)
            },
        )
    }),
    ("za-id", &["id number", "south african id"], |r| {
        until(
            r,
            |r| {
                format!(
                    "{:02}{:02}{:02}{}08{}",
                    r.below(100),
                    r.range(1, 13),
                    r.range(1, 29),
                    r.digits(4),
                    r.digits(1)
                )
            },
            luhn,
        )
    }),
];

fn until(r: &mut Random, make: fn(&mut Random) -> String, holds: fn(&str) -> bool) -> String {
    std::iter::repeat_with(|| make(r)).find(|it| holds(it)).unwrap_or_default()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// Sum of digits by weights that begin with `first` and change by `step`.
fn weigh(text: &str, first: i64, step: i64) -> u64 {
    let digits =
        text.bytes().zip(0..).map(|(byte, idx)| i64::from(byte - b'0') * (first + step * idx));
    digits.sum::<i64>() as u64
}

fn last(text: &str, check: fn(&str) -> u64) -> bool {
    let (body, digit) = text.split_at(text.len() - 1);
    check(body) == number(digit)
}

fn luhn(text: &str) -> bool {
    let doubled = |(idx, byte): (usize, u8)| {
        let digit = u64::from(byte - b'0') * (1 + idx as u64 % 2);
        digit / 10 + digit % 10
    };
    text.bytes().rev().enumerate().map(doubled).sum::<u64>().is_multiple_of(10)
}

/// Writes a number in groups, in one piece, or with dashes.
fn grouped(r: &mut Random, lens: &[usize], make: fn(&mut Random) -> String) -> String {
    let plain = make(r);
    let separator = r.one(&["", " ", "-"]);
    let mut at = 0;
    let groups = lens.iter().map(|len| {
        at += len;
        &plain[at - len..at]
    });
    groups.collect::<Vec<_>>().join(separator)
}

fn card(r: &mut Random) -> String {
    if r.below(5) == 0 {
        grouped(r, &[4, 6, 5], |r| until(r, |r| format!("37{}", r.digits(13)), luhn))
    } else {
        grouped(r, &[4, 4, 4, 4], |r| {
            until(
                r,
                |r| {
                    format!("{}{}", r.one(&["4", "51", "54", "2301"]), r.digits(16))[..16]
                        .to_owned()
                },
                luhn,
            )
        })
    }
}

fn iban(r: &mut Random) -> String {
    let (country, len) = r.one(&[
        ("DE", 22),
        ("ES", 24),
        ("BE", 16),
        ("AT", 20),
        ("PT", 25),
        ("PL", 28),
        ("DK", 18),
    ]);
    let body = r.digits(len - 4);
    let letters: String = country.bytes().map(|it| (it - b'A' + 10).to_string()).collect();
    let rest = format!("{body}{letters}00")
        .bytes()
        .fold(0, |rest, it| (rest * 10 + u64::from(it - b'0')) % 97);
    let plain = format!("{country}{:02}{body}", 98 - rest);
    if r.below(2) == 0 {
        return plain;
    }
    let groups: Vec<String> =
        plain.as_bytes().chunks(4).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    groups.join(" ")
}

fn ssn(r: &mut Random) -> String {
    let area = r.one(&[123, 219, 401, 512, 536, 601, 731]);
    let separator = r.one(&["-", "-", " ", ""]);
    format!("{area}{separator}{:02}{separator}{:04}", r.range(1, 100), r.range(1, 10000))
}

fn npi(r: &mut Random) -> String {
    until(r, |r| format!("1{}", r.digits(9)), |it| luhn(&format!("80840{it}")))
}

fn phone(r: &mut Random) -> String {
    let (area, exchange) = (r.range(212, 989) / 10 * 10 + 3, r.range(220, 999) / 10 * 10 + 4);
    let line = r.digits(4);
    let first = r.range(2, 9);
    match r.below(14) {
        0 => format!("({area}) {exchange}-{line}"),
        1 => format!("{area}-{exchange}-{line}"),
        2 => format!("+1 {area} {exchange} {line}"),
        3 => format!("+1-{area}-{exchange}-{line}"),
        4 => format!("{area}.{exchange}.{line}"),
        5 => format!("+44 20 7{} {}", r.digits(3), r.digits(4)),
        6 => format!("07{} {}", r.digits(3), r.digits(6)),
        7 => format!("+49 30 {}", r.digits(8)),
        8 => format!("0{first}{} / {}", r.digits(2), r.digits(7)).replace(" / ", "/"),
        9 => format!("+33 {first} {} {} {} {}", r.digits(2), r.digits(2), r.digits(2), r.digits(2)),
        10 => format!("0{first} {} {} {} {}", r.digits(2), r.digits(2), r.digits(2), r.digits(2)),
        11 => format!("+91 98{} {}", r.digits(3), r.digits(5)),
        12 => format!("+55 (11) 9{}-{}", r.digits(4), r.digits(4)),
        _ => format!("+346{}", r.digits(8)),
    }
}

fn email(r: &mut Random) -> String {
    let first = r.one(&[
        "ada",
        "grace.hopper",
        "l.torvalds",
        "maria_silva",
        "jean-luc",
        "o'neil",
        "anna+news",
    ]);
    let domain =
        r.one(&["gmail.com", "web.de", "orange.fr", "uni-bonn.de", "mail.co.uk", "proton.me"]);
    format!("{first}{}@{domain}", r.below(1000))
}

fn ip(r: &mut Random) -> String {
    if r.below(4) == 0 {
        return format!(
            "2a02:{:x}:{:x}::{:x}",
            r.range(16, 65536),
            r.range(16, 65536),
            r.range(1, 65536)
        );
    }
    format!(
        "{}.{}.{}.{}",
        r.one(&[31, 46, 62, 81, 93, 109, 151, 178, 213]),
        r.range(30, 255),
        r.below(256),
        r.range(1, 255)
    )
}

fn birth(r: &mut Random) -> String {
    let (year, month, day) = (r.range(1930, 2015), r.range(1, 13), r.range(1, 29));
    let name = r.one(&["January", "Feb", "March", "July", "Oct", "December"]);
    match r.below(5) {
        0 => format!("{year}-{month:02}-{day:02}"),
        1 => format!("{day:02}.{month:02}.{year}"),
        2 => format!("{month}/{day}/{year}"),
        3 => format!("{day} {name} {year}"),
        _ => format!("{name} {day}, {year}"),
    }
}

fn address(r: &mut Random) -> String {
    let number = r.range(1, 9999);
    let name = r.one(&["Baker", "Elm", "Martin Luther King", "Old Mill", "Ocean View"]);
    let kind = r.one(&["Street", "St", "Avenue", "Rd", "Blvd", "Lane", "Drive"]);
    match r.below(4) {
        0 => format!(
            "{}straße {}, {} Berlin",
            r.one(&["Haupt", "Schiller", "Berg"]),
            number % 200 + 1,
            r.range(10115, 14199)
        ),
        1 => format!(
            "{} rue de la {}, {} Paris",
            number % 200 + 1,
            r.one(&["Paix", "République"]),
            r.range(75001, 75020)
        ),
        _ => format!(
            "{number} {name} {kind}, Springfield, {} {}",
            r.one(&["IL", "MA", "OR"]),
            r.range(10001, 99999)
        ),
    }
}

fn passport(r: &mut Random) -> String {
    match r.below(3) {
        0 => r.digits(9),
        1 => format!("{}{}", r.one(&["A", "C", "X", "K"]), r.digits(8)),
        _ => format!("{}{}", r.one(&["AB", "PA", "YA"]), r.digits(7)),
    }
}

fn cpf(r: &mut Random) -> String {
    let mut all = r.digits(9);
    for first in [10, 11] {
        let digit = weigh(&all, first, -1) * 10 % 11 % 10;
        all += &digit.to_string();
    }
    if r.below(2) == 0 {
        return all;
    }
    format!("{}.{}.{}-{}", &all[..3], &all[3..6], &all[6..9], &all[9..])
}

/// The forms that values stand in beside a word: prose, markup, tables, forms, code, requests and logs.
fn texts(word: &str, value: &str) -> Vec<String> {
    let name = word.replace([' ', '-'], "_");
    let camel: String = name
        .split('_')
        .enumerate()
        .map(|(idx, part)| match part.chars().next() {
            Some(first) if idx > 0 => first.to_uppercase().chain(part.chars().skip(1)).collect(),
            _ => part.to_owned(),
        })
        .collect();
    let title = format!("{}{}", word[..1].to_uppercase(), &word[1..]);
    vec![
        format!("Dear team,\n\nplease note that the {word} of our customer is {value}. Thanks!\n"),
        format!("Hi, my {word} has changed, the new one is {value}, could you update it?\n"),
        format!("{title}: {value}\nBest regards\n"),
        format!("<p>{title}</p>\n<td class=\"v\">{value}</td>\n"),
        format!("| name | {word} |\n|---|---|\n| Ada | {value} |\n"),
        format!("{{\n  \"id\": 17,\n  \"{name}\": \"{value}\",\n  \"active\": true\n}}\n"),
        format!("{{\"id\":17,\"{camel}\":\"{value}\",\"active\":true}}\n"),
        format!("user:\n  {name}: {value}\n  active: true\n"),
        format!("<user><{name}>{value}</{name}></user>\n"),
        format!("id,{name},active\n17,\"{value}\",true\n"),
        format!("id;{name};active\n1;;true\n2;{value};true\n"),
        format!("fn main() {{\n    let {name} = \"{value}\";\n}}\n"),
        format!("user.{camel} = '{value}'\n"),
        format!("UPDATE users SET {name} = '{value}' WHERE id = 17;\n"),
        format!("level=info msg=\"saved\" {name}=\"{value}\" took=12ms\n"),
        format!("2026-11-22 10:00:01 ERROR invalid {word} {value} for user 17\n"),
    ]
}

/// The forms that values stand in with no word that speaks of them.
fn bare_texts(value: &str) -> Vec<String> {
    vec![
        format!("Yes, of course: {value}. Anything else?\n"),
        format!("He wrote \"{value}\" on the back of it.\n"),
        format!("{{\"id\":17,\"value\":\"{value}\",\"active\":true}}\n"),
        format!("17\t{value}\ttrue\n"),
        format!("submit(\"{value}\", 17)\n"),
        format!("2026-11-22 10:00:01 WARN rejected [{value}]\n"),
        format!("{value}\n"),
    ]
}

fn is_met(text: &str, value: &str, profile: Profile) -> bool {
    let start = text.find(value).unwrap_or(0);
    let mut met = personal_data(text.as_bytes(), profile, Tier::Likely);
    met.any(|(_, at)| at.start <= start && at.end >= start + value.len())
}

fn planted(lists: bool) {
    println!(
        "{:<12} {:>8} {:>9} {:>9} {:>8} {:>9}",
        "kind", "planted", "outbound", "commit", "bare", "outbound"
    );
    let mut r = Random(20_261_122);
    let mut total = [0_usize; 4];
    for (kind, words, make) in KINDS {
        let (mut n, mut outbound, mut commit) = (0, 0, 0);
        let (mut n_bare, mut bare) = (0, 0);
        let check = |text: &str, value: &str, profile: Profile| {
            let is_met = is_met(text, value, profile);
            if lists && !is_met && profile == Profile::Outbound {
                println!("  missed: {text:?}");
            }
            usize::from(is_met)
        };
        for _ in 0..N_VALUES {
            let (word, value) = (r.one(words), make(&mut r));
            for text in texts(word, &value) {
                n += 1;
                commit += check(&text, &value, Profile::Commit);
                outbound += check(&text, &value, Profile::Outbound);
            }
            let bare_texts =
                if FORM_IS_ENOUGH.contains(kind) { bare_texts(&value) } else { vec![] };
            for text in bare_texts {
                n_bare += 1;
                bare += check(&text, &value, Profile::Outbound);
            }
        }
        for (sum, more) in total.iter_mut().zip([n, outbound, n_bare, bare]) {
            *sum += more;
        }
        let share = |n_met: usize, n: usize| match n {
            0 => "–".to_owned(),
            _ => format!("{:.2}%", 100.0 * n_met as f64 / n as f64),
        };
        println!(
            "{kind:<12} {n:>8} {:>9} {:>9} {n_bare:>8} {:>9}",
            share(outbound, n),
            share(commit, n),
            share(bare, n_bare)
        );
    }
    let [n, outbound, n_bare, bare] = total.map(|it| it as f64);
    println!(
        "all: {n} beside a word, {:.2}% met; {n_bare} without, {:.2}% met",
        100.0 * outbound / n,
        100.0 * bare / n_bare
    );
}

fn clean(dirs: &[&str]) -> Result<(), Box<dyn Error>> {
    let lists = dirs.contains(&"--list");
    let mut files = Vec::new();
    for dir in dirs.iter().filter(|dir| **dir != "--list") {
        read_files(Path::new(dir), &mut files)?;
    }
    let (mut n_bytes, started) = (0, common::processor_time()?);
    let mut alarms: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, bytes) in &files {
        n_bytes += bytes.len();
        for (kind, at) in personal_data(bytes, Profile::Commit, Tier::Likely) {
            *alarms.entry(kind).or_default() += 1;
            if lists {
                let from = at.start.saturating_sub(40);
                println!("{kind} {path}: {:?}", String::from_utf8_lossy(&bytes[from..at.end]));
            }
        }
    }
    let took = common::processor_time()? - started;
    let mb = n_bytes as f64 / 1e6;
    alarms.iter().for_each(|(kind, n)| println!("{kind:<24} {n:>6}"));
    let n: usize = alarms.values().sum();
    println!(
        "{} files, {mb:.1} MB, {n} alarms, {:.2} per MB, {:.0} MB/s",
        files.len(),
        n as f64 / mb,
        mb / took
    );
    Ok(())
}

fn read_files(path: &Path, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), Box<dyn Error>> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            read_files(&entry?.path(), files)?;
        }
    } else if meta.is_file() && meta.len() <= FILE_BYTES_MAX {
        files.push((path.display().to_string(), fs::read(path)?));
    }
    Ok(())
}
