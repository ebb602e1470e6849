//! Measures the scanner: `measure load` times the first use of the built-in rules in this process;
//! `measure tree DIR [--list]` scans every file below DIR and prints findings per rule, or one line each.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::{collections::BTreeMap, env, error::Error, fs, path::PathBuf, time::Instant};

use carnet_core::{Content, Origin};
use carnet_scan::{FingerprintKey, RuleSet, scan};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["load"] => load(),
        ["tree", dir] => tree(dir, false)?,
        ["tree", dir, "--list"] => tree(dir, true)?,
        _ => return Err("usage: measure load | measure tree DIR [--list]".into()),
    }
    Ok(())
}

fn load() {
    let started = Instant::now();
    let n_rules = RuleSet::built_in().rules().len();
    let loaded = started.elapsed();
    let digest = RuleSet::built_in().digest();
    println!("{n_rules} rules in {loaded:?}, digest {digest} in {:?}", started.elapsed() - loaded);
}

fn tree(dir: &str, lists: bool) -> Result<(), Box<dyn Error>> {
    let key = FingerprintKey::from_bytes([0; 32]);
    let (mut n_files, mut n_bytes, mut scanning) = (0, 0, std::time::Duration::ZERO);
    let mut per_rule: BTreeMap<String, usize> = BTreeMap::new();
    let mut todo = vec![PathBuf::from(dir)];
    while let Some(path) = todo.pop() {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(&path)? {
                todo.push(entry?.path());
            }
        } else if kind.is_file() {
            let name = path.strip_prefix(dir)?.display().to_string();
            let content = Content { origin: Origin::File(name), bytes: fs::read(&path)? };
            (n_files, n_bytes) = (n_files + 1, n_bytes + content.bytes.len());
            let started = Instant::now();
            let found = scan(RuleSet::built_in(), &key, &content);
            scanning += started.elapsed();
            for finding in found.findings {
                if lists {
                    let line = finding.region.map_or(0, |region| region.start_line);
                    println!(
                        "{}\t{line}\t{}\t{}",
                        finding.origin.name(),
                        finding.rule_id,
                        finding.masked
                    );
                }
                *per_rule.entry(finding.rule_id).or_default() += 1;
            }
        }
    }
    let mb = n_bytes as f64 / 1e6;
    println!(
        "# {n_files} files, {mb:.1} MB, {scanning:?}, {:.0} MB/s",
        mb / scanning.as_secs_f64()
    );
    per_rule.iter().for_each(|(rule, n_findings)| println!("# {n_findings}\t{rule}"));
    Ok(())
}
