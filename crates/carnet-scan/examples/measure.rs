//! Measures the scanner.
//!
//! - `measure load` times the first use of the built-in rules in this process;
//! - `measure tree DIR… [--list]` scans every file below each DIR and prints findings per rule, or one line each;
//! - `measure suite [--list]` reads labelled snippets from standard input, one JSON object a line with the members
//!   `source`, `rule_id`, `text`, `expect` and `scope`, and prints how many are met, per source and per rule of it.
//!
//! `--rules DIR` takes the rule files of DIR instead of those compiled in, so that a change shows at once.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// A snippet and what was met in it.
struct Met {
    source: String,
    rule_id: String,
    expect: bool,
    /// Whether the label speaks of the source's rule alone: another rule may rightly be met.
    is_of_rule: bool,
    rules: BTreeSet<String>,
}

impl Met {
    fn read(line: &str, rules: &RuleSet, key: &FingerprintKey) -> Result<Met, Box<dyn Error>> {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let member = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let content = Content { origin: Origin::Stdin, bytes: member("text").into_bytes() };
        let found = scan(rules, key, &content).findings;
        Ok(Met {
            source: member("source"),
            rule_id: member("rule_id"),
            expect: row["expect"].as_bool().ok_or("`expect` is no boolean")?,
            is_of_rule: member("scope") == "rule",
            rules: found.into_iter().map(|finding| finding.rule_id).collect(),
        })
    }

    fn of(&self) -> (String, String) {
        (self.source.clone(), self.rule_id.clone())
    }
}

/// Returns for each rule of a source those of ours that are met in a fifth or more of its positive snippets.
fn counterparts(met: &[Met]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut counts: BTreeMap<(String, String), (usize, BTreeMap<String, usize>)> = BTreeMap::new();
    for one in met.iter().filter(|one| one.expect) {
        let (n, by_rule) = counts.entry(one.of()).or_default();
        *n += 1;
        one.rules.iter().for_each(|rule| *by_rule.entry(rule.clone()).or_default() += 1);
    }
    let common = |(n, by_rule): (usize, BTreeMap<String, usize>)| {
        by_rule.into_iter().filter(|(_, count)| count * 5 >= n).map(|(rule, _)| rule).collect()
    };
    counts.into_iter().map(|(of, counted)| (of, common(counted))).collect()
}

fn suite(rules: &RuleSet, lists: bool) -> Result<(), Box<dyn Error>> {
    let key = FingerprintKey::from_bytes([0; 32]);
    let mut met = Vec::new();
    for line in std::io::stdin().lock().lines() {
        met.push(Met::read(&line?, rules, &key)?);
    }
    let counterparts = counterparts(&met);
    let mut sources: BTreeMap<(String, &str), Tally> = BTreeMap::new();
    let mut families: BTreeMap<((String, String), &str), Tally> = BTreeMap::new();
    let mut providers: BTreeMap<(String, &str), Tally> = BTreeMap::new();
    let mut add = |one: &Met, word: &'static str, is_met: bool| {
        for source in [one.source.clone(), "all".to_owned()] {
            sources.entry((source, word)).or_default().add(is_met);
        }
        families.entry((one.of(), word)).or_default().add(is_met);
        providers.entry((family(&one.rule_id), word)).or_default().add(is_met);
        let is_listed = lists && is_met != (word == "recall");
        is_listed.then(|| one.rules.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    };
    for (idx, one) in met.iter().enumerate() {
        let is_met = !one.rules.is_empty();
        let own = counterparts.get(&one.of()).filter(|own| one.is_of_rule && !own.is_empty());
        let is_own = own.map_or(is_met, |own| one.rules.iter().any(|rule| own.contains(rule)));
        let words: &[(&'static str, bool)] = if one.expect {
            &[("recall", is_met)]
        } else {
            &[("alarms, same rule", is_own), ("alarms, any rule", is_met)]
        };
        for (word, is_met) in words {
            if let Some(by) = add(one, word, *is_met) {
                println!("{word}\t{idx}\t{}\t{}\t{by}", one.source, one.rule_id);
            }
        }
    }
    println!("# rules of the sources that are not met in full, or met where they must not be");
    for (((source, rule), word), Tally { n_met, n }) in families {
        if word == "recall" && n_met < n || word == "alarms, same rule" && n_met > 0 {
            println!("{source}\t{rule}\t{word}\t{n_met}\t{n}");
        }
    }
    println!(
        "# per source; a label of one rule's own counts for the rule of ours that stands for it"
    );
    for ((source, word), Tally { n_met, n }) in sources {
        println!("{source:<20} {word:<18} {:.3}  {n_met}/{n}", n_met as f64 / n as f64);
    }
    println!("# per family of rules, over all sources: recall; alarms on negatives, same rule");
    let names: BTreeSet<String> = providers.keys().map(|(name, _)| name.clone()).collect();
    for name in names {
        let tally = |word| providers.get(&(name.clone(), word)).copied().unwrap_or_default();
        let (recall, alarms) = (tally("recall"), tally("alarms, same rule"));
        let [met, positive, alarmed, negative] = [recall.n_met, recall.n, alarms.n_met, alarms.n];
        println!("{name:<20} {met}/{positive}  {alarmed}/{negative}");
    }
    Ok(())
}

/// Returns what a rule of a source is about, by its name: `aws` of `np.aws.1` and of `aws-access-token`.
fn family(rule_id: &str) -> String {
    let name = rule_id.strip_prefix("np.").or(rule_id.strip_prefix("kingfisher."));
    let name = name.unwrap_or(rule_id);
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| !word.is_empty()).unwrap_or("other").to_ascii_lowercase()
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
