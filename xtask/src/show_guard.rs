//! What the guard is shown by: one page, made anew by one command from a labelled suite, clones with history and the machine itself.
//!
//! It prints `docs/guard.md`. What a machine lacks (a peer, a validator) is said on the page and left out.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    scanner,
    shell::{Answer, Cmd, repository_root},
    system,
};

/// What is asked for; each may be left out.
#[derive(Default)]
struct Asked<'a> {
    suite: Option<&'a str>,
    clones: Vec<&'a str>,
    sources: Vec<&'a str>,
    carnet: Option<PathBuf>,
    measure: Option<PathBuf>,
}

/// Prints the page: `[--suite FILE] [--history CLONE]… [--source DIR]…`; `--carnet FILE` and `--measure FILE` name programs that
/// are built already.
pub fn show(args: &[&str]) -> Result<(), String> {
    let mut asked = Asked::default();
    for pair in args.chunks(2) {
        match pair {
            ["--suite", file] => asked.suite = Some(file),
            ["--history", clone] => asked.clones.push(clone),
            ["--source", dir] => asked.sources.push(dir),
            ["--carnet", file] => asked.carnet = Some(PathBuf::from(file)),
            ["--measure", file] => asked.measure = Some(PathBuf::from(file)),
            _ => return Err(format!("`{}` is no option of this page", pair.join(" "))),
        }
    }
    let carnet = match asked.carnet {
        Some(carnet) => carnet,
        None => system::built_carnet("release")?,
    };
    let scratch = std::env::temp_dir().join(format!("carnet-guard-page-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(|error| error.to_string())?;
    println!("{HEAD}");
    let shown = history(&carnet, &scratch, &asked.clones)
        .and_then(|()| sarif(&carnet, &scratch))
        .and_then(|()| prompt(&carnet, &scratch))
        .and_then(|()| traps())
        .and_then(|()| bad_input(&carnet, &scratch))
        .and_then(|()| peers(&carnet, &asked.sources))
        .and_then(|()| suite(asked.suite, asked.measure.as_deref()));
    let removed = fs::remove_dir_all(&scratch).map_err(|error| error.to_string());
    shown.and(removed)
}

const HEAD: &str = "\
# The guard, shown

Made by `cargo xtask show-guard`; every figure is of the machine and the moment it ran on. Times are processor time of the process and all its
children unless they are called wall.
";

/// A program that ran, and what it took in seconds.
struct Timed {
    answer: Answer,
    cpu_s: f64,
    wall_s: f64,
}

fn timed(command: Cmd) -> Result<Timed, String> {
    let before = scanner::children_cpu_s()?;
    let started = Instant::now();
    let answer = command.answer()?;
    let wall_s = started.elapsed().as_secs_f64();
    Ok(Timed { answer, cpu_s: scanner::children_cpu_s()? - before, wall_s })
}

fn history(carnet: &Path, scratch: &Path, clones: &[&str]) -> Result<(), String> {
    println!("## Histories, all refs\n\n    carnet init && carnet scan --history\n");
    if clones.is_empty() {
        println!("No clone was named (`--history CLONE`).\n");
        return Ok(());
    }
    println!(
        "| Repository | commits | files | cold: CPU, wall | unchanged: CPU, wall | one new commit, besides | findings: refused, other |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut all_met = vec![];
    for (n, clone) in clones.iter().enumerate() {
        let dir = scratch.join(format!("clone-{n}"));
        let at = dir.to_str().ok_or("the scratch directory is not UTF-8")?;
        Cmd::new("git").args(&["clone", "-q", "--no-hardlinks", clone, at]).read()?;
        let git = |args: &[&str]| Cmd::new("git").args(&["-C", at]).args(args).read();
        let run = |args: &[&str]| {
            Cmd::new(carnet).args(&["-C", at]).args(args).env("CARNET_DAEMON", "off")
        };
        // Pull requests too: a clone takes branches and tags alone.
        git(&["fetch", "-q", "origin", "+refs/*:refs/remotes/all/*"])?;
        run(&["init"]).read()?;
        let scan = || timed(run(&["scan", "--history", "--json"]));
        let (cold, same) = (scan()?, scan()?);
        git(&[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "commit",
            "-qn",
            "--allow-empty",
            "-m",
            "one",
        ])?;
        let next = scan()?;
        let report = &cold.answer.stdout.replace("\": ", "\":");
        if cold.answer.code > 1 {
            return Err(cold.answer.stderr);
        }
        let n_commits = git(&["rev-list", "--all", "--count"])?;
        let n_denied = denied(report);
        let met = by_rule(report);
        println!(
            "| {} | {} | {}, {:.0} MB | {:.1} s, {:.1} s | {:.2} s, {:.2} s | {:.0} ms | {n_denied}, {} |",
            name_of(clone),
            n_commits.trim(),
            number(report, "n_contents"),
            number(report, "n_bytes") as f64 / 1e6,
            cold.cpu_s,
            cold.wall_s,
            same.cpu_s,
            same.wall_s,
            (next.cpu_s - same.cpu_s).max(0.0) * 1e3,
            met.values().sum::<usize>() - n_denied,
        );
        all_met.push((name_of(clone), met));
    }
    println!();
    for (name, met) in all_met {
        let rules: Vec<String> = met.iter().map(|(rule, n)| format!("{rule} {n}")).collect();
        println!("- {name}: {}", rules.join(", "));
    }
    println!();
    Ok(())
}

/// What a repository is called: the last part of its path that says anything.
fn name_of(clone: &str) -> String {
    let parts = Path::new(clone).components().rev();
    let names = parts.map(|part| part.as_os_str().to_string_lossy().into_owned());
    let mut telling = names.filter(|name| !matches!(name.as_str(), "repo" | ".git" | "/"));
    let name = telling.next().unwrap_or_default();
    name.trim_end_matches(".git").replace('+', "/")
}

fn number(report: &str, member: &str) -> u64 {
    let rest = report.split(&format!("\"{member}\":")).nth(1).unwrap_or_default();
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// Findings that stand and are refused; the verdict over all comes before them.
fn denied(report: &str) -> usize {
    let standing = report.split("\"suppressed\":").next().unwrap_or_default();
    let findings = standing.split("\"findings\":").nth(1).unwrap_or_default();
    findings.matches("\"decision\":\"deny\"").count()
}

fn by_rule(report: &str) -> BTreeMap<String, usize> {
    let findings = report.split("\"suppressed\":").next().unwrap_or_default();
    let mut met = BTreeMap::new();
    for rest in findings.split("\"rule\":\"").skip(1) {
        let rule = rest.split('"').next().unwrap_or_default();
        *met.entry(rule.to_owned()).or_default() += 1;
    }
    met
}

/// A token of nobody's, put together here so that no scanner finds it in this file.
fn token() -> String {
    ["gh", "p_", "x7Kd92mQvT4bWz8RfL1nYc6HsJ3gPa5Ue0Xo"].concat()
}

fn sarif(carnet: &Path, scratch: &Path) -> Result<(), String> {
    println!("## SARIF, held against the schema by others\n");
    let planted = scratch.join("planted");
    fs::create_dir_all(&planted).map_err(|error| error.to_string())?;
    let text = format!("token = '{}'\nmail = '{}'\n", token(), ["ada", "analytical.org"].join("@"));
    fs::write(planted.join("settings.py"), text).map_err(|error| error.to_string())?;
    let report =
        Cmd::new(carnet).args(&["scan", "--format", "sarif", "."]).dir(&planted).answer()?;
    let file = scratch.join("carnet.sarif");
    fs::write(&file, &report.stdout).map_err(|error| error.to_string())?;
    let schema = repository_root().join("tests/corpus/sarif/sarif-schema-2.1.0.json");
    let path = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not UTF-8");
    let (file, schema) = (path(&file)?, path(&schema)?);
    println!("    carnet scan --format sarif . >carnet.sarif    # exit code {}\n", report.code);
    for (program, from, args) in [
        ("jsonschema", "jsonschema", ["-i", file.as_str(), schema.as_str()]),
        ("sarif", "sarif-tools", ["summary", file.as_str(), ""]),
    ] {
        if !system::has_program(program) {
            println!("- `{program}` (PyPI: {from}): not on PATH");
            continue;
        }
        let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let said = Cmd::new(program).args(&args).answer()?;
        println!("- `{program}` (PyPI: {from}): exit code {}", said.code);
        said.stdout
            .lines()
            .filter(|line| !line.is_empty())
            .for_each(|line| println!("      {line}"));
        if said.code != 0 {
            return Err(format!("`{program}` says that the report is wrong: {}", said.stderr));
        }
    }
    println!();
    Ok(())
}

fn prompt(carnet: &Path, scratch: &Path) -> Result<(), String> {
    println!("## A prompt, redacted and given back\n");
    let dir = scratch.join("prompt");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let prompt = format!(
        "Why does psql refuse {}? My token is {}. Mail {}, tel {}\n",
        ["zur-Sonne", "94+!"].join("/"),
        token(),
        ["ada.lovelace", "analytical.org"].join("@"),
        ["+49 30", "90182345"].join(" "),
    );
    fs::write(dir.join("prompt.txt"), &prompt).map_err(|error| error.to_string())?;
    let map = scratch.join("chat.map");
    let map = map.to_str().ok_or("the scratch directory is not UTF-8")?;
    let run = |args: &[&str]| {
        let secret = ["zur-Sonne", "94+!"].join("/");
        Cmd::new(carnet).args(args).dir(&dir).env("DB_PASSWORD", secret).read()
    };
    let redacted = run(&["redact", "--map", map, "prompt.txt"])?;
    fs::write(dir.join("redacted.txt"), &redacted).map_err(|error| error.to_string())?;
    let back = run(&["rehydrate", "--map", map, "redacted.txt"])?;
    println!(
        "    $ DB_PASSWORD=… carnet redact --map ../chat.map prompt.txt\n    {}",
        redacted.trim_end()
    );
    let is_same = if back == prompt { "the same" } else { "NOT the same" };
    println!(
        "    $ carnet rehydrate --map ../chat.map redacted.txt | cmp - prompt.txt    # {is_same}\n"
    );
    if back == prompt { Ok(()) } else { Err("the way back is not exact".to_owned()) }
}

/// Writes the bad inputs, one file each. Python has what is needed to pack them.
const MAKE_BAD: &str = r#"
import gzip, io, os, tarfile, zipfile
def put(name, data):
    with open(name, "wb") as f: f.write(data)
put("line-of-10-mb", b"x9/" * ((10 << 20) // 3 + 1))
put("a-million-keys", b"key=" * 1_000_000)
put("password-quotes", b"password='" * 1_000_000)
put("invalid-utf-8", bytes(range(128, 256)) * 40_000)
put("utf-16", ("key = 1\r\n" * 300_000).encode("utf-16"))
put("zeros", b"\0" * (10 << 20))
put("gzip-bomb", gzip.compress(b"\0" * (512 << 20), 9))
deep = b"x" * 100
for _ in range(8): deep = gzip.compress(deep)
put("archive-in-archive", deep)
z = io.BytesIO()
with zipfile.ZipFile(z, "w", zipfile.ZIP_DEFLATED) as f:
    f.writestr("../../../../tmp/carnet-climbs", "x" * 1000); f.writestr("/etc/carnet-climbs", "y")
put("names-that-climb.zip", z.getvalue())
z = io.BytesIO()
with zipfile.ZipFile(z, "w", zipfile.ZIP_DEFLATED) as f:
    for n in range(6000): f.writestr(str(n), "x")
put("too-many-members.zip", z.getvalue())
t = io.BytesIO()
with tarfile.open(fileobj=t, mode="w") as f:
    i = tarfile.TarInfo("../../carnet-climbs"); i.size = 3; f.addfile(i, io.BytesIO(b"abc"))
put("names-that-climb.tar", t.getvalue())
put("quotes-and-pluses", b'"a" + ' * 1_500_000)
put("base64-letters", b"QUJD" * (10 << 18))
put("digits", b"4539148803436467 " * 600_000)
put("at-signs", b"a@b." * 2_000_000)
"#;

fn bad_input(carnet: &Path, scratch: &Path) -> Result<(), String> {
    println!("## Bad input\n");
    println!("| File | MB | exit code | CPU ms | what it said |");
    println!("|---|---|---|---|---|");
    let dir = scratch.join("bad");
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    Cmd::new("python3").args(&["-c", MAKE_BAD]).dir(&dir).read()?;
    let entries = fs::read_dir(&dir).map_err(|error| error.to_string())?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned())).collect();
    names.sort();
    for name in names {
        let size = fs::metadata(dir.join(&name)).map_or(0, |meta| meta.len());
        let Timed { answer, cpu_s, .. } = timed(Cmd::new(carnet).args(&["scan", &name]).dir(&dir))?;
        let said = answer.stderr.lines().take(2).map(str::trim).collect::<Vec<_>>().join("; ");
        let said: String = said.replace('|', "\\|").chars().take(160).collect();
        let (mb, ms) = (size as f64 / 1e6, cpu_s * 1e3);
        println!("| {name} | {mb:.1} | {} | {ms:.0} | {said} |", answer.code);
    }
    for climbed in ["/tmp/carnet-climbs", "/etc/carnet-climbs"] {
        if Path::new(climbed).exists() {
            return Err(format!("`{climbed}` was written"));
        }
    }
    println!("\n{BAD_TESTS}");
    let names = BAD_TESTS.split('`').skip(1).step_by(2);
    for name in names.filter(|name| name.matches('_').count() > 2) {
        let place = format!("fn {name}(");
        Cmd::new("git").args(&["grep", "-qF", &place]).dir(&repository_root()).read()?;
    }
    Ok(())
}

/// Files of tests each of which stages or commits something past the hook, and asks whether it was held.
const TRAPS: [&str; 4] = ["traps", "traps_content", "walk_staged", "hooks"];

fn traps() -> Result<(), String> {
    println!(
        "## Traps for the hook\n\n    cargo test -p carnet --test it -- traps walk_staged hooks\n"
    );
    let mut n = 0;
    for file in TRAPS {
        let path = repository_root().join(format!("tests/it/{file}.rs"));
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let names = text.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
        let names: Vec<String> = names.map(|name| name.replace('_', " ")).collect();
        n += names.len();
        println!("- {file}: {}", names.join("; "));
    }
    println!("\n{n} tests, most of several cases; they fail unless every case is held.\n");
    Ok(())
}

const BAD_TESTS: &str = "\
What the tests hold of the rest, by name (`cargo test -p carnet --test it -- NAME`, or `-p carnet-scan`, `-p carnet-policy`):

| Line | Tests |
|---|---|
| 10 MB in one line, a million `key=` | `a_million_keys_and_a_line_of_ten_megabytes_are_read`, `a_million_keywords_finish_and_stay_exact`, `a_line_of_ten_megabytes_hides_nothing` |
| regular expressions that explode | `patterns_that_explode_are_refused_at_load` |
| invalid UTF-8, UTF-16, NULs | `nuls_and_invalid_utf8_are_ordinary_bytes`, `utf16_is_decoded_in_both_orders_with_and_without_a_mark`, `the_way_that_text_is_written_hides_nothing` |
| bombs, archives in archives, names that climb | `bombs_are_bounded_by_the_size_of_the_text`, `a_bomb_takes_what_the_budget_has_and_no_more`, `encodings_nest_three_deep_and_no_deeper`, `zip_members_are_read_whatever_they_claim_and_are_called`, `an_archive_that_could_not_be_examined_is_refused_and_can_be_accepted` |
| unreadable blob, missing promisor blob | `a_missing_blob_refuses_the_commit`, `what_cannot_be_read_is_no_clean_scan`, `what_a_partial_clone_did_not_fetch_is_refused_with_what_to_type` |
| broken rule file, broken file of accepted findings | `nothing_passes_while_a_rule_file_of_the_policy_is_wrong`, `nothing_passes_while_the_file_is_wrong_and_the_message_names_line_and_field`, `a_broken_file_of_accepted_findings_is_not_committed` |
| over the budget | `a_content_that_asks_for_too_much_work_is_told`, `what_a_bound_leaves_unread_is_told` |
| every parser and decoder under a fuzzer | `crates/carnet-scan/fuzz`: containers, decoders, licences, personal, redaction, rule_files, stream_splits, versions; `crates/carnet-policy/fuzz`: files; `crates/carnet-run/fuzz`: stored_forms (those of the guard too) |
";

fn peers(carnet: &Path, sources: &[&str]) -> Result<(), String> {
    println!("## Beside its peers\n\n    cargo xtask bench scan DIR…\n");
    if sources.is_empty() {
        println!("No sources were named (`--source DIR`).\n");
        return Ok(());
    }
    println!("```text");
    scanner::bench_of(carnet, sources)?;
    println!("```\n");
    Ok(())
}

fn suite(file: Option<&str>, measure: Option<&Path>) -> Result<(), String> {
    println!("## The labelled snippets\n\n    cargo xtask eval scan FILE\n");
    let Some(file) = file else {
        println!("No suite was named (`--suite FILE`).");
        return Ok(());
    };
    let said = scanner::scored(file, measure)?;
    println!(
        "Recall, and alarms on negatives; a label of one rule's own counts for the rule of ours that stands for it.\n\n```text"
    );
    let mut parts = said.split("# per ").skip(1);
    print!("# per {}", parts.next().unwrap_or_default());
    let mut families = parts.next().unwrap_or_default().lines();
    println!("# per {}", families.next().unwrap_or_default());
    let families: Vec<&str> = families.collect();
    for row in families.chunks(4) {
        let cells: Vec<String> = row.iter().map(|family| format!("{family:<36}")).collect();
        println!("{}", cells.concat().trim_end());
    }
    println!("```");
    Ok(())
}
