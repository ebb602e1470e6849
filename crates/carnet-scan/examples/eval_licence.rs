//! Scores licence detection on public test data: `cargo xtask eval licence DIR`.
//!
//! `DIR` holds checkouts: `scancode-toolkit` (tests/licensedcode/data/datadriven; the licence list gives the SPDX ids) and
//! `fossology` (src/nomos/agent_tests/testdata). One that is missing is passed over, and said so.
//!
//! A label and an answer are equal when their families are: versions, "only" and "or later" do not count, exceptions and
//! labels that name no licence of the SPDX list are left out. Half of the files, by a hash of their name, are development
//! data; the other half was looked at in one round of name fixes. Files that hold nothing but an address of some other
//! site (`nuget_test_url_*`) are left out: their label is in no byte of theirs.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measure reads files and prints"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use carnet_core::{Digest, license_family, listed_license};
use carnet_scan::{Detection, LicenceKind};

/// One labelled file.
struct Case {
    suite: &'static str,
    path: PathBuf,
    labels: Vec<String>,
}

/// What one half of a suite came to.
#[derive(Default)]
struct Score {
    n_files: usize,
    n_exact: usize,
    n_right: usize,
    n_answered: usize,
    n_expected: usize,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(dir) = args.next().map(PathBuf::from) else {
        println!("usage: eval_licence DIR | --time FILE…");
        std::process::exit(2);
    };
    if dir.as_os_str() == "--time" {
        return args.for_each(|file| time(Path::new(&file)));
    }
    let mut cases = scancode(&dir.join("scancode-toolkit"));
    cases.extend(fossology(&dir.join("fossology/src/nomos/agent_tests/testdata")));
    let mut scores: BTreeMap<(&str, &str), Score> = BTreeMap::new();
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut slowest = (std::time::Duration::ZERO, PathBuf::new());
    let (mut total, mut n_scanned) = (std::time::Duration::ZERO, 0u32);
    let is_verbose = std::env::args().nth(2).is_some();
    for case in &cases {
        let expected: BTreeSet<String> =
            case.labels.iter().filter_map(|label| family(label)).collect();
        if expected.is_empty() {
            continue;
        }
        let Ok(bytes) = fs::read(&case.path) else { continue };
        let start = std::time::Instant::now();
        // Labels speak of a file's bytes, so its name shall not count.
        let found = carnet_scan::licences(b"", &bytes);
        let took = start.elapsed();
        total += took;
        n_scanned += 1;
        slowest = slowest.max((took, case.path.clone()));
        let answered =
            found.detections.iter().flat_map(|met| met.expression.split([' ', '(', ')']));
        let answered: BTreeSet<String> = answered.filter_map(family).collect();
        let half = half_of(&case.path);
        // Only errors of the development half are looked at.
        if is_verbose && answered != expected && half == "dev" {
            println!("{}: expected {expected:?}, answered {answered:?}", case.path.display());
            for met in &found.detections {
                let line =
                    bytes[..met.span.start].iter().filter(|byte| **byte == b'\n').count() + 1;
                let (id, kind, share) = (&met.expression, met.kind, met.coverage);
                println!(
                    "    line {line}: {id} ({kind:?}, {share:.2}, {} deviations)",
                    met.deviations.len()
                );
            }
        }
        if half == "dev" {
            for (kind, families) in by_kind(&found.detections) {
                let counts = kinds.entry(kind).or_default();
                counts.0 += families.intersection(&expected).count();
                counts.1 += families.len();
            }
        }
        for suite in [case.suite, "together"] {
            let score = scores.entry((suite, half)).or_default();
            score.n_files += 1;
            score.n_exact += usize::from(answered == expected);
            score.n_right += answered.intersection(&expected).count();
            score.n_answered += answered.len();
            score.n_expected += expected.len();
        }
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!(
        "{:<12} {:<6} {:>6} {:>10} {:>10} {:>8}",
        "suite", "half", "files", "exact set", "precision", "recall"
    );
    for ((suite, half), score) in &scores {
        println!(
            "{suite:<12} {half:<6} {:>6} {:>9.1}% {:>9.1}% {:>7.1}%",
            score.n_files,
            percent(score.n_exact, score.n_files),
            percent(score.n_right, score.n_answered),
            percent(score.n_right, score.n_expected)
        );
    }
    println!("\nhow a family is told, development half: right of told");
    for (kind, (n_right, n_told)) in &kinds {
        println!("{kind:<24} {n_right:>6} of {n_told:>6} {:>9.1}%", percent(*n_right, *n_told));
    }
    println!(
        "mean {:.2} ms a file (wall), slowest {:.1} ms: {}",
        total.as_secs_f64() * 1000.0 / f64::from(n_scanned.max(1)),
        slowest.0.as_secs_f64() * 1000.0,
        slowest.1.display()
    );
}

/// Prints the processor time that one file takes, the least of five.
fn time(file: &Path) {
    let bytes = fs::read(file).unwrap_or_default();
    // Nanoseconds on a processor, the first number (Linux).
    let taken = || {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0)
    };
    let once = || {
        let before = taken();
        let found = carnet_scan::licences(b"", &bytes);
        (taken() - before, found.detections.len())
    };
    if let Some((ns, n_found)) = (0..5).map(|_| once()).min() {
        let (ms, kib) = (ns as f64 / 1e6, bytes.len() / 1024);
        println!("{ms:>8.1} ms  {kib} KiB  {n_found} found  {}", file.display());
    }
}

/// The families of detections by what tells them best; texts by the share of them that is there.
fn by_kind(detections: &[Detection]) -> BTreeMap<String, BTreeSet<String>> {
    let mut best: BTreeMap<String, (LicenceKind, u32)> = BTreeMap::new();
    for met in detections {
        let tenths = (met.coverage * 10.0) as u32;
        for family in met.expression.split([' ', '(', ')']).filter_map(family) {
            let told = best.entry(family).or_insert((met.kind, tenths));
            if met.kind < told.0 || met.kind == told.0 && tenths > told.1 {
                *told = (met.kind, tenths);
            }
        }
    }
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (family, (kind, tenths)) in best {
        kinds.entry(format!("{kind:?} .{tenths}")).or_default().insert(family);
    }
    kinds
}

fn half_of(path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default();
    if Digest::of(name.as_encoded_bytes()).as_bytes()[0].is_multiple_of(2) { "dev" } else { "held" }
}

/// The family of a label or an id, or `None` when it names no licence of the list.
fn family(label: &str) -> Option<String> {
    if matches!(label, "AND" | "OR" | "WITH" | "")
        || label.to_ascii_lowercase().contains("exception")
    {
        return None;
    }
    let bare = label
        .trim_start_matches("LicenseRef-")
        .trim_start_matches("scancode-")
        .trim_end_matches('+');
    let lower = bare.to_ascii_lowercase();
    let prefixes = [
        ("bsd", "bsd"),
        ("freebsd", "bsd"),
        ("mit", "mit"),
        ("expat", "mit"),
        ("cmu", "mit"),
        ("x11", "x11"),
        ("hpnd", "hpnd"),
        ("openssl", "openssl"),
        ("ssleay", "openssl"),
        ("public-domain", "public-domain"),
        ("cecill", "cecill"),
        ("unicode", "unicode"),
        ("artistic", "artistic"),
        ("python", "python"),
        ("psf", "python"),
        ("cnri", "python"),
        ("w3c", "w3c"),
        ("apache", "apache"),
        ("gfdl", "gfdl"),
        ("ijg", "ijg"),
        ("zlib", "zlib"),
        ("tcl", "tcl"),
    ];
    let follows = |prefix: &str| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    if let Some((_, family)) = prefixes.iter().find(|(prefix, _)| follows(prefix)) {
        return Some((*family).to_owned());
    }
    let id = listed_license(bare);
    let known = id.as_deref().map(license_family).or_else(|| {
        let stem = license_family(bare);
        ["GPL", "LGPL", "AGPL"].into_iter().find(|family| stem.eq_ignore_ascii_case(family))
    })?;
    let stem = known.trim_end_matches("-only").trim_end_matches("-or-later");
    Some(stem.to_ascii_lowercase())
}

fn scancode(dir: &Path) -> Vec<Case> {
    let ids = scancode_ids(&dir.join("src/licensedcode/data/licenses"));
    let mut files = Vec::new();
    list(&dir.join("tests/licensedcode/data/datadriven"), &mut files);
    let labelled = files.iter().filter(|path| path.extension().is_some_and(|end| end == "yml"));
    let cases = labelled.filter_map(|label| {
        let path = label.with_extension("");
        let is_address = path.file_name()?.to_str()?.starts_with("nuget_test_url_");
        let text = fs::read_to_string(label).ok().filter(|_| path.is_file() && !is_address)?;
        let words = expressions(&text);
        let words = words.split(|mark: char| mark.is_whitespace() || "()".contains(mark));
        let labels = words.map(|key| ids.get(key).cloned().unwrap_or_else(|| key.to_owned()));
        Some(Case { suite: "scancode", path: path.clone(), labels: labels.collect() })
    });
    let cases: Vec<Case> = cases.collect();
    if cases.is_empty() {
        println!("no test data of scancode in {}", dir.display());
    }
    cases
}

/// The text of the list `license_expressions` of a label file.
fn expressions(yaml: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    for line in yaml.lines() {
        is_inside = if line.starts_with("license_expressions") {
            true
        } else {
            is_inside && line.starts_with(' ')
        };
        if is_inside && line.starts_with(' ') {
            text += line.trim_start().trim_start_matches("- ");
            text.push(' ');
        }
    }
    text
}

/// Scancode's keys and the SPDX ids that it gives for them.
fn scancode_ids(dir: &Path) -> BTreeMap<String, String> {
    let mut files = Vec::new();
    list(dir, &mut files);
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let ids = files.iter().filter_map(|path| {
        let bytes = fs::read(path).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some((field(&text, "key: ")?, field(&text, "spdx_license_key: ")?))
    });
    ids.collect()
}

fn fossology(dir: &Path) -> Vec<Case> {
    let Ok(answers) = fs::read_to_string(dir.join("LastGoodNomosTestfilesScan")) else {
        println!("no test data of FOSSology in {}", dir.display());
        return Vec::new();
    };
    let cases = answers.lines().filter_map(|line| {
        let (name, labels) = line.strip_prefix("File ")?.split_once(" contains license(s) ")?;
        let labels = labels.split([',', ' ']).map(str::to_owned).collect();
        Some(Case { suite: "fossology", path: dir.join(name), labels })
    });
    cases.collect()
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push(path);
        }
    }
}
