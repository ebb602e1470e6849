//! Measures redaction: `redaction DIR… [--mb N] [--every BYTES]`.
//!
//! Takes N MB (default 100) of the files below the DIRs as one text, plants one of 1,000 made-up values in one of eight encodings
//! every so many bytes (default 65536; 0 for none), and prints the speed in processor time: of the known values alone, and of
//! everything (rules, personal data, known values); then that all planted values are gone, and that the way back is exact.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

mod common;

use std::{env, error::Error, fs, path::Path};

use carnet_core::Confidence;
use carnet_scan::{KnownValue, KnownValues, RedactionMap, Redactor, RuleSet};

const N_VALUES: usize = 1000;
const CHUNK_BYTES: usize = 256 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let mb = number(&mut words, "--mb")?.unwrap_or(100);
    let every = number(&mut words, "--every")?.unwrap_or(64 << 10);
    let mut text = Vec::with_capacity((mb + 1) << 20);
    for dir in &words {
        read_files(Path::new(dir), mb * 1_000_000, &mut text)?;
    }
    let values: Vec<String> = (0..N_VALUES).map(value).collect();
    let planted = plant(&text, &values, every);
    let mb = planted.len() as f64 / 1e6;
    let known = || {
        let named = values.iter().enumerate().map(|(idx, value)| KnownValue {
            name: format!("VALUE_{idx}"),
            value: value.clone().into_bytes().into(),
        });
        KnownValues::new(named).0
    };
    let none = RuleSet::parse(&[("none", NO_RULES)]).map_err(|_| "the empty rules are wrong")?;
    let started = common::processor_time()?;
    let alone = Redactor::new(&none).with_known(known());
    println!(
        "{N_VALUES} values in eight encodings: made ready in {:.2} s",
        common::processor_time()? - started
    );
    let all =
        Redactor::new(RuleSet::built_in()).with_personal(Confidence::Medium).with_known(known());
    for (what, redactor) in
        [("known values alone", &alone), ("rules, personal data, known values", &all)]
    {
        let started = common::processor_time()?;
        let mut stream = redactor.stream();
        let (mut left, mut n_left) = (Vec::new(), 0);
        for chunk in planted.chunks(CHUNK_BYTES) {
            stream.push(chunk, &mut left);
            n_left += left.len();
            left.clear();
        }
        let replaced = stream.finish(&mut left).replaced;
        let took = common::processor_time()? - started;
        println!(
            "{what}: {mb:.1} MB, {} replaced, {} bytes left, {:.0} MB/s",
            replaced.n(),
            n_left + left.len(),
            mb / took
        );
    }
    let mut stream = all.stream_with(RedactionMap::default());
    let mut left = Vec::new();
    stream.push(&planted, &mut left);
    let map = stream.finish(&mut left).map.ok_or("no map")?;
    let n_kept = values.iter().filter(|it| contains(&left, it.as_bytes())).count();
    let (mut rehydrator, mut back) = (map.rehydrator(), Vec::new());
    let started = common::processor_time()?;
    rehydrator.push(&left, &mut back);
    rehydrator.finish(&mut back);
    let took = common::processor_time()? - started;
    println!(
        "values left as they are: {n_kept}; the way back is exact: {}, {:.0} MB/s",
        back == planted,
        mb / took
    );
    Ok(())
}

/// A rule that nothing meets.
const NO_RULES: &str = "format = 'carnet/rules/1'\nfamily = 'none'\n[[rule]]\nid = 'none'\ndescription = 'nothing'\n\
    severity = 'low'\nconfidence = 'low'\nplaceholders = 'keep'\npattern = 'zqxjkvzqxjkv[0-9]{9}'\n\
    keywords = ['zqxjkvzqxjkv']\nexamples = ['zqxjkvzqxjkv123456789']\n";

/// A made-up value like those of providers: a prefix that many share, then 20 to 40 letters and digits.
fn value(idx: usize) -> String {
    let mut state = idx as u64 * 0x9E37_79B9_7F4A_7C15 + 1;
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize
    };
    let len = 20 + next() % 20;
    let body = (0..len).map(|_| char::from(letters[next() % letters.len()]));
    ["tok_live_", "k-", ""][idx % 3].chars().chain(body).collect()
}

fn plant(text: &[u8], values: &[String], every: usize) -> Vec<u8> {
    let mut planted = Vec::with_capacity(text.len() * 11 / 10);
    for (idx, part) in text.chunks(if every == 0 { text.len().max(1) } else { every }).enumerate() {
        planted.extend_from_slice(part);
        if every > 0 {
            planted.push(b' ');
            planted.extend(encoded(&values[idx * 7 % values.len()], idx % 8));
            planted.push(b'\n');
        }
    }
    planted
}

fn encoded(value: &str, how: usize) -> Vec<u8> {
    let hex = |upper: bool| {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        if upper { hex.to_uppercase() } else { hex }
    };
    match how {
        0 => value.into(),
        1 => base64(value.as_bytes()).into_bytes(),
        2 => {
            base64(format!("a{value}").as_bytes()).replace('+', "-").replace('/', "_").into_bytes()
        }
        3 => base64(format!("ab{value}b").as_bytes()).into_bytes(),
        4 => hex(false).into_bytes(),
        5 => hex(true).into_bytes(),
        6 => value.replace('+', "%2B").replace('/', "%2F").into_bytes(),
        _ => value.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    }
}

fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut made = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for idx in 0..=chunk.len() {
            made.push(char::from(letters[(bits >> (18 - 6 * idx) & 63) as usize]));
        }
    }
    made
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

fn number(words: &mut Vec<String>, flag: &str) -> Result<Option<usize>, Box<dyn Error>> {
    let Some(at) = words.iter().position(|word| word == flag) else { return Ok(None) };
    let value = words.get(at + 1).ok_or("a number is missing")?.parse()?;
    words.drain(at..at + 2);
    Ok(Some(value))
}

fn read_files(path: &Path, most: usize, text: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    let meta = fs::symlink_metadata(path)?;
    if text.len() >= most {
        return Ok(());
    }
    if meta.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            read_files(&entry.path(), most, text)?;
        }
    } else if meta.is_file() && meta.len() < 1 << 20 {
        let bytes = fs::read(path)?;
        // Archives and binaries are no prompts.
        if !bytes.contains(&0) {
            text.extend_from_slice(&bytes);
        }
    }
    Ok(())
}
