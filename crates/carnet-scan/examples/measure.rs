//! Measures the scanner.
//!
//! - `measure load` times the first use of the built-in rules in this process;
//! - `measure tree DIR… [--list]` scans every file below each DIR and prints findings per rule, or one line each;
//! - `measure suite [--list]` reads labelled snippets from standard input, one JSON object a line with the members
//!   `source`, `rule_id`, `text` and `expect`, and prints how many are met, per source and per rule of the source.
//!
//! `--rules DIR` takes the rule files of DIR instead of those compiled in, so that a change shows at once.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    io::BufRead as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use carnet_core::{Content, Finding, Origin};
use carnet_scan::{FingerprintKey, RuleSet, scan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let lists = take_flag(&mut words, "--list");
    let read;
    let rules = match words.iter().position(|word| word == "--rules") {
        Some(at) if at + 1 < words.len() => {
            read = read_rules(Path::new(&words[at + 1]))?;
            words.drain(at..at + 2);
            &read
        }
        _ => RuleSet::built_in(),
    };
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["load"] => load(),
        ["suite"] => suite(rules, lists)?,
        ["tree", dirs @ ..] if !dirs.is_empty() => tree(rules, dirs, lists)?,
        _ => return Err("usage: measure load | tree DIR… | suite [--list] [--rules DIR]".into()),
    }
    Ok(())
}

fn take_flag(words: &mut Vec<String>, flag: &str) -> bool {
    let len = words.len();
    words.retain(|word| word != flag);
    words.len() < len
}

fn read_rules(dir: &Path) -> Result<RuleSet, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        files.push((path.display().to_string(), fs::read_to_string(&path)?));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    RuleSet::parse(&files).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into()
    })
}

fn load() {
    let started = Instant::now();
    let n_rules = RuleSet::built_in().rules().len();
    let loaded = started.elapsed();
    let digest = RuleSet::built_in().digest();
    println!("{n_rules} rules in {loaded:?}, digest {digest} in {:?}", started.elapsed() - loaded);
}

/// Of how many snippets how many were met.
#[derive(Default, Clone, Copy)]
struct Tally {
    n_met: usize,
    n: usize,
}

impl Tally {
    fn add(&mut self, is_met: bool) {
        self.n_met += usize::from(is_met);
        self.n += 1;
    }
}

fn suite(rules: &RuleSet, lists: bool) -> Result<(), Box<dyn Error>> {
    let key = FingerprintKey::from_bytes([0; 32]);
    let mut sources: BTreeMap<(String, bool), Tally> = BTreeMap::new();
    let mut families: BTreeMap<(String, String, bool), Tally> = BTreeMap::new();
    let mut alarms: BTreeMap<String, usize> = BTreeMap::new();
    for (idx, line) in std::io::stdin().lock().lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let member = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let expect = row["expect"].as_bool().ok_or("`expect` is no boolean")?;
        let content = Content { origin: Origin::Stdin, bytes: member("text").into_bytes() };
        let found = scan(rules, &key, &content).findings;
        let is_met = !found.is_empty();
        sources.entry((member("source"), expect)).or_default().add(is_met);
        families.entry((member("source"), member("rule_id"), expect)).or_default().add(is_met);
        let by: Vec<&str> = found.iter().map(|finding| &*finding.rule_id).collect();
        if !expect {
            by.iter().for_each(|rule| *alarms.entry((*rule).to_owned()).or_default() += 1);
        }
        if lists && is_met != expect {
            let word = if expect { "missed" } else { "alarm" };
            println!(
                "{word}\t{idx}\t{}\t{}\t{}",
                member("source"),
                member("rule_id"),
                by.join(",")
            );
        }
    }
    println!("# rules of the sources that are not met in full, or met where they must not be");
    for ((source, rule, expect), Tally { n_met, n }) in families {
        if (n_met == n) != expect || !expect && n_met > 0 {
            let word = if expect { "found" } else { "alarms" };
            println!("{source}\t{rule}\t{word}\t{n_met}\t{n}");
        }
    }
    println!("# alarms on negatives, by rule of ours");
    alarms.iter().for_each(|(rule, n)| println!("{n}\t{rule}"));
    println!("# per source: found of those to find, alarms of those to leave");
    let mut left = Tally::default();
    for ((source, expect), Tally { n_met, n }) in sources {
        let word = if expect { "recall" } else { "alarms" };
        println!("{source:<20} {word} {:.3}  {n_met}/{n}", n_met as f64 / n as f64);
        if !expect {
            left = Tally { n_met: left.n_met + n_met, n: left.n + n };
        }
    }
    let Tally { n_met, n } = left;
    println!("{:<20} alarms {:.3}  {n_met}/{n}", "all", n_met as f64 / n.max(1) as f64);
    Ok(())
}

fn tree(rules: &RuleSet, dirs: &[&str], lists: bool) -> Result<(), Box<dyn Error>> {
    let key = FingerprintKey::from_bytes([0; 32]);
    let (mut n_files, mut n_bytes, mut scanning) = (0, 0, Duration::ZERO);
    let mut per_rule: BTreeMap<String, usize> = BTreeMap::new();
    let mut todo: Vec<PathBuf> = dirs.iter().map(PathBuf::from).collect();
    while let Some(path) = todo.pop() {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        } else if kind.is_file() {
            let name = path.display().to_string();
            let content = Content { origin: Origin::File(name), bytes: fs::read(&path)? };
            (n_files, n_bytes) = (n_files + 1, n_bytes + content.bytes.len());
            let started = Instant::now();
            let found = scan(rules, &key, &content);
            scanning += started.elapsed();
            for finding in found.findings {
                if lists {
                    println!("{}", listed(&finding));
                }
                *per_rule.entry(finding.rule_id).or_default() += 1;
            }
        }
    }
    let mb = n_bytes as f64 / 1e6;
    let rate = mb / scanning.as_secs_f64();
    let n_found: usize = per_rule.values().sum();
    println!("# {n_files} files, {mb:.1} MB, {n_found} findings, {scanning:?}, {rate:.0} MB/s");
    per_rule.iter().for_each(|(rule, n_findings)| println!("# {n_findings}\t{rule}"));
    Ok(())
}

fn listed(finding: &Finding) -> String {
    let line = finding.region.map_or(0, |region| region.start_line);
    format!("{}\t{line}\t{}\t{}", finding.origin.name(), finding.rule_id, finding.masked)
}
