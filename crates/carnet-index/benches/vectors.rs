//! How fast the embedded table is: `cargo bench -p carnet-index --bench vectors [-- DIRECTORY]`.
//!
//! Embeds every function and type below a directory (carnet's own crates unless one is named) on one thread, and looks through
//! 200,000 of their vectors for the nearest to a question. Times are CPU time, so that a busy machine gives the same figures.
#![expect(clippy::print_stdout, reason = "figures are its answer")]

use std::{fs, path::Path, time::Duration};

use carnet_core::RepoPath;
use carnet_index::vectors::{Model, Question, UnitTexts, VectorWriter, Vectors};
use carnet_parse::{Language, parse};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

/// Vectors that are looked through.
const SCANNED: usize = 200_000;
/// Questions that are asked.
const QUESTIONS: [&str; 4] = [
    "delete a file from the disk",
    "read the configuration and check every value",
    "wait until the connection is closed",
    "how many bytes a message may have",
];

struct Unit {
    body: String,
    name: String,
    path: String,
    doc: String,
}

fn main() {
    let named = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    let directory = named.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/..").to_owned());
    let mut units = Vec::new();
    let directory = fs::canonicalize(&directory).expect("because it exists");
    gather(&directory, &mut units);
    assert!(!units.is_empty(), "no source below {}", directory.display());
    let n_bytes: usize = units.iter().map(|it| it.body.len()).sum();
    println!("{} functions and types, {} bytes of code each", units.len(), n_bytes / units.len());

    let model = Model::embedded();
    let embed = |unit: &Unit| {
        let Unit { body, name, path, doc } = unit;
        model.unit(&UnitTexts { body, name, path, doc })
    };
    units.iter().take(100).for_each(|unit| drop(embed(unit)));
    let n_rounds = 20_000_usize.div_ceil(units.len());
    let (mut vectors, mut best) = (Vec::new(), f64::INFINITY);
    for _ in 0..3 {
        let begun = cpu_time();
        for _ in 0..n_rounds {
            vectors = units.iter().filter_map(embed).collect();
        }
        best = best.min((cpu_time() - begun).as_secs_f64());
    }
    println!("embedding: {:.0} per second of one core", (n_rounds * units.len()) as f64 / best);

    let directory = tempfile::tempdir().expect("because there is room for it");
    let written = VectorWriter::open(directory.path(), model.dimension()).and_then(|mut writer| {
        for (at, vector) in vectors.iter().cycle().take(SCANNED).enumerate() {
            writer.add(at as u64, 0, vector);
        }
        writer.commit()
    });
    written.expect("because there is room for it");
    let open = || Vectors::open(directory.path(), model.dimension()).expect("because it is whole");
    let (took, scanned) = timed(open);
    println!("opening {SCANNED} × {}, checked: {took:.1} ms", model.dimension());
    for question in QUESTIONS {
        let question =
            Question::new(model.question(question).expect("because its words are known"));
        let (took, near) = timed(|| scanned.nearest(&question, 200, |_, _| true));
        println!("the nearest {} to a question: {took:.1} ms", near.len());
    }
}

/// Does something forty times; returns the milliseconds of CPU time that it took on average, since some systems count in steps.
fn timed<T>(deed: impl Fn() -> T) -> (f64, T) {
    let begun = cpu_time();
    (0..39).for_each(|_| drop(deed()));
    let last = deed();
    ((cpu_time() - begun).as_secs_f64() * 1000.0 / 40.0, last)
}

fn gather(directory: &Path, units: &mut Vec<Unit>) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|it| !it.file_name().to_string_lossy().starts_with('.')) {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => gather(&path, units),
            Ok(kind) if kind.is_file() => gather_file(&path, units),
            _ => {}
        }
    }
}

fn gather_file(path: &Path, units: &mut Vec<Unit>) {
    let name = path.to_string_lossy();
    let Ok(name) = RepoPath::new(name.trim_start_matches('/').as_bytes()) else { return };
    let Some(language) = Language::of_path(&name) else { return };
    let Ok(source) = fs::read(path) else { return };
    for symbol in parse(language, &source).symbols {
        let body = source.get(symbol.region.start..symbol.region.end).unwrap_or_default();
        units.push(Unit {
            body: String::from_utf8_lossy(body).into_owned(),
            name: format!("{} {}", symbol.container, symbol.name),
            path: name.to_text(),
            doc: symbol.doc,
        });
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("because the system counts it");
    let took = usage.user_time() + usage.system_time();
    Duration::from_micros(u64::try_from(took.num_microseconds()).expect("because it only grows"))
}
