//! The command line: one definition for parsing, `-h`, `--help` and completions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{
        approve::ApproveArgs,
        artifact::ArtifactCommand,
        backup::BackupCommand,
        broker::BrokerCommand,
        cache::CacheCommand,
        calibrate::CalibrateCommand,
        gc::GcArgs,
        licence::LicenceCommand,
        policy::PolicyCommand,
        redact::{RedactArgs, RehydrateArgs},
        rules::RulesCommand,
        sandbox::SandboxArgs,
    },
    ui::ColorChoice,
};

/// Guard, index, run and replay: a git-native toolchain for people and AI agents.
#[derive(Debug, Parser)]
#[command(
    name = "carnet",
    version,
    disable_help_subcommand = true,
    after_help = "Start with `carnet init` in a git repository; `carnet doctor` says what this machine lacks."
)]
pub struct Cli {
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Run as if started in DIR.
    #[arg(short = 'C', global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Act as the service account whose token FILE holds, within its scopes (default: $CARNET_TOKEN_FILE).
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install hooks, refspecs and keys in this repository.
    #[command(
        after_help = "Examples:\n  carnet init --dry-run   show what would be written\n  carnet init"
    )]
    Init(InitArgs),
    /// Take the hooks and the configuration out again, byte for byte.
    Uninstall(UninstallArgs),
    /// Say what this machine and repository lack, and what each absence costs.
    Doctor(JsonArgs),
    /// Look for secrets in files, commits or the whole history.
    #[command(
        after_help = "Examples:\n  carnet scan --staged\n  carnet scan src config.toml\n  carnet scan --commits origin/main..HEAD\n  carnet scan --history\n  git log -p | carnet scan -\n  carnet scan --format sarif . >carnet.sarif"
    )]
    Scan(ScanArgs),
    /// Accept findings with reason and end date, and show which are accepted.
    #[command(subcommand)]
    Findings(FindingsCommand),
    /// Look at the rules that scans go by, check rule files, see what each rule costs.
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Find licences, hold them against the policy, write headers.
    #[command(
        subcommand,
        visible_alias = "license",
        after_help = "Examples:\n  carnet licence list                  what HEAD's files are under\n  carnet licence check                 against the policy in force; exit code 1 when it refuses\n  carnet licence fix --dry-run src     which files would get a header"
    )]
    Licence(LicenceCommand),
    /// Replace secrets, known values and personal data in a text on its way out.
    #[command(
        after_help = "Examples:\n  carnet redact <prompt.txt | ask-a-model\n  carnet redact --env DEPLOY_HOST build.log >build.public.log\n  carnet redact --map ../chat.map <prompt.txt | ask-a-model | carnet rehydrate --map ../chat.map\n  carnet redact --hold <prompt.txt      until `carnet approve`\n\nA value stands as `[REDACTED:NAME]`: NAME is the variable or key that holds it, else the rule that met it. Values come from\nvariables whose names speak of secrets, the work tree's `.env` files, `--env`, `--env-file` and `--secret`, and are recognised\nas they are, in base64, base64url, hexadecimal, percent-encoding, JSON and UTF-16, and in what carnet decodes."
    )]
    Redact(RedactArgs),
    /// Put back what `carnet redact --map` replaced.
    #[command(after_help = "Examples:\n  carnet rehydrate --map ../chat.map <answer.txt")]
    Rehydrate(RehydrateArgs),
    /// Look at texts that `carnet redact --hold` keeps back, and let them out.
    #[command(
        after_help = "Examples:\n  carnet approve               what is held\n  carnet approve 3f0c          show it and ask\n  carnet approve 3f0c --refuse"
    )]
    Approve(ApproveArgs),
    /// Answer a git hook (called by the shim).
    #[command(hide = true)]
    Hook(HookArgs),
    /// Run a command in a lane: allow-listed, confined, recorded.
    #[command(
        after_help = "Examples:\n  carnet run -- make test\n  carnet run --lane code-impl --output 'dist/*' -- make dist\n  carnet run --patch fmt.patch -- cargo fmt && git apply fmt.patch\n  carnet run --dirty -- make test      with uncommitted changes\n  carnet run --validate -- make test   success locks the run\n  carnet run --secret TOKEN=file:token -- make publish   read with `cat <&$CARNET_SECRET_FD_TOKEN`\n  carnet run --model http://127.0.0.1:8080/v1 -- make summary   a replay answers from the record\n\nThe command sees a checkout of the commit in /workspace, no network, and an empty environment.\nIts exit code is recorded; carnet exits with 0 or 10."
    )]
    Run(RunArgs),
    /// Look whether the policy is sound, and what it says to a command.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Validate, explain and compare the model broker's policy: which model answers which lane, at what cost.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet broker example >policy/model-broker.toml\n  carnet broker validate policy/model-broker.toml\n  carnet broker route --lane code-impl --policy policy/model-broker.toml"
    )]
    Broker(BrokerCommand),
    /// Learn what runs of a lane take in tokens, time and cost, from those that may teach.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet calibrate update\n  carnet calibrate show\n  carnet calibrate explain 5f0c      why a run counts, or does not\n\nOnly baseline and hotfix runs that validated (`carnet run --validate`) count."
    )]
    Calibrate(CalibrateCommand),
    /// Lock tools by content, and verify that they still are what was locked.
    #[command(subcommand)]
    Tools(crate::commands::tools::ToolsCommand),
    /// Show recorded runs as a timeline, day by day.
    #[command(
        after_help = "Examples:\n  carnet log\n  carnet log --since 2026-11-01 --outcome failed\n  carnet log --path dist/app.tar"
    )]
    Log(RunsArgs),
    /// Try a lane's confinement on any command: confined and recorded, not allow-listed.
    #[command(
        after_help = "Examples:\n  carnet sandbox --any-command -- sh -c 'id; ls -la'\n  carnet sandbox --any-command --lane narrative --workspace ./attack -- ./run.sh\n  carnet sandbox --macos-profile >lane.sb\n\nStandard input and output are passed through. Where the command ends by itself carnet exits with its code (128 + N for\nsignal N); else with its own: 1 nothing was started, 11 out of time, 12 out of quota. The run is recorded as of kind `sandbox`."
    )]
    Sandbox(SandboxArgs),
    /// List recorded runs, newest first.
    Runs(RunsArgs),
    /// Show one run: passport, logs, artifacts.
    Show(ShowArgs),
    /// Verify everything that is recorded: chains, signatures, manifests, locks, checkpoints.
    #[command(
        after_help = "Examples:\n  carnet verify          on any clone that has the refs\n  carnet verify --json\n\nExit code 0 when all holds, 1 when something is wrong, 4 when someone's key is not trusted here."
    )]
    Verify(JsonArgs),
    /// Work with service accounts: their keys, their tokens, what each may do.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet auth account add ci --scope pex.start && carnet auth keygen\n  git add policy && git commit -m 'an account for ci'      counts where `carnet.policyRef` says so\n  carnet auth issue ci -o ci.token\n  carnet --token-file ci.token run -- make test\n\nAccounts, keys, tokens and refusals are described in docs/format/accounts.md."
    )]
    Auth(crate::commands::auth::AuthCommand),
    /// Keep secrets in sealed files or a Vault, and hand them over by descriptor.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet secret put DEPLOY_TOKEN <token.txt\n  carnet secret list\n  carnet secret get DEPLOY_TOKEN | gh auth login --with-token\n  carnet run --secret DEPLOY_TOKEN=store -- make publish\n\nWhere secrets are kept, and how a Vault is named: docs/format/vault.md."
    )]
    Secret(crate::commands::secret::SecretCommand),
    /// Read, verify, review and export the audit log.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet audit log --since 2026-11-01\n  carnet audit verify                on any clone that has the refs\n  carnet audit review                what was unusual in the last seven days, and why\n  carnet audit export --form csv -o audit.csv"
    )]
    Audit(crate::commands::audit::AuditCommand),
    /// Sign where every chain of runs stands now, so that a later rewrite shows.
    #[command(
        after_help = "Examples:\n  carnet checkpoint      `carnet sync` makes one a day by itself\n\nKept under refs/carnet/checkpoint/<writer>; `carnet verify` compares with it on any clone."
    )]
    Checkpoint(JsonArgs),
    /// Work with the signed passport of a run.
    #[command(subcommand)]
    Passport(PassportCommand),
    /// Write a run as an attestation that other tools verify.
    #[command(
        after_help = "Examples:\n  carnet attest 5f0c >run.dsse.json            the signed passport as a DSSE envelope\n  carnet attest 5f0c --format slsa >slsa.json  SLSA provenance v1, signed by this clone"
    )]
    Attest(AttestArgs),
    /// Put, get, list and verify artifacts: outputs of runs, and files put by hand.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet artifact list\n  carnet artifact get 5f0c:dist/app.tar -o app.tar\n  carnet artifact put model.bin --name models/v1.bin\n  carnet artifact verify"
    )]
    Artifact(ArtifactCommand),
    /// Make, verify and restore backups of this repository.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet backup create --to /backup/project --prune   for cron\n  carnet backup verify --in /backup/project\n  carnet backup restore /home/me/project --from /backup/project\n\nWith `git config carnet.backupDir DIR` the daemon makes one a day, and `--to DIR` may be left out."
    )]
    Backup(BackupCommand),
    /// List and empty the caches that runs of lanes find again.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet cache list\n  carnet cache clear npm\n\nA lane names its caches ([[cache]] in its file); `carnet show RUN` says what a run found and left."
    )]
    Cache(CacheCommand),
    /// Expire old days of the ledger and clear the content store.
    #[command(
        after_help = "Examples:\n  carnet gc --dry-run   show what would go\n  carnet gc\n\nLocked runs stay. `git config carnet.keepDays N` and `carnet.graceDays N` say how long."
    )]
    Gc(GcArgs),
    /// Do a run again from its own record and compare what comes out.
    #[command(
        after_help = "Examples:\n  carnet replay 5f0c --dry-run            print the plan and change nothing\n  carnet replay 5f0c\n  carnet replay 5f0c --policy current     under today's rules\n  carnet replay --all --since 2026-11-21  every run of a day, for cron\n\nVerdicts: MATCH_EXACT and MATCH_NORMALISED (exit 0), DIVERGED (13) with path and first differing byte,\nENV_DRIFT (14) with the program that changed, NOT_REPLAYABLE (3) with what is missing, REFUSED (1)."
    )]
    Replay(crate::commands::replay::ReplayArgs),
    /// Exchange recorded runs with a remote: fetch others', join the notes, push ours.
    Sync(SyncArgs),
    /// Print where a symbol is defined.
    #[command(
        name = "where-defined",
        after_help = "Examples:\n  carnet where-defined parse_config\n  carnet where-defined Config::load"
    )]
    WhereDefined(QueryArgs),
    /// Print who calls a symbol: resolved callers, then candidates of the same name.
    #[command(
        name = "who-calls",
        after_help = "Examples:\n  carnet who-calls parse_config\n  carnet who-calls Config::load --depth 4   callers of callers, with the way"
    )]
    WhoCalls(crate::commands::graph::WhoCallsArgs),
    /// Print what a symbol calls: resolved calls, then candidates.
    #[command(after_help = "Examples:\n  carnet calls parse_config\n  carnet calls Config --json")]
    Calls(QueryArgs),
    /// Print what a change of a file, a symbol or a range of commits may break: what reaches it through calls.
    #[command(
        name = "impact-set",
        after_help = "Examples:\n  carnet impact-set src/config.rs\n  carnet impact-set Config::load --depth 2\n  carnet impact-set main..HEAD          what the changed lines belong to, and who reaches that\n\nOnly resolved calls are followed, so the answer is a lower bound."
    )]
    ImpactSet(crate::commands::graph::ImpactArgs),
    /// Print which types extend or implement a type.
    #[command(
        after_help = "Examples:\n  carnet implementations Iterator\n  carnet implementations Handler --json"
    )]
    Implementations(QueryArgs),
    /// Print what a file defines, in its order.
    #[command(
        after_help = "Examples:\n  carnet outline src/config.rs\n  carnet outline src/config.rs --json"
    )]
    Outline(crate::commands::graph::OutlineArgs),
    /// Draw or list the calls around a file or a symbol, and export the whole graph.
    #[command(
        after_help = "Examples:\n  carnet graph src/config.rs\n  carnet graph Config::load --svg --depth 3 >load.svg\n  carnet graph export --format graphml >graph.graphml\n  carnet graph export --format cypher | cypher-shell\n\nOnly resolved calls are edges; each says by which evidence. A file that is named `export` is `./export`."
    )]
    Graph(crate::commands::network::GraphArgs),
    /// Search definitions and text files by words, phrases and regular expressions; the best come first.
    #[command(
        after_help = "Examples:\n  carnet search parse the configuration file\n  carnet search '\"exact phrase\"' --path src\n  carnet search '/retry_(count|limit)/' --lang rust -n 20\n  carnet search open socket --kind function --json --max-tokens 2000\n\nWords are looked for in names, paths, signatures, comments and bodies; parts of names count: `config` finds `parseConfig`.\nPhrases and expressions are looked for in the text as it is. Every hit has a citation for `carnet cite`."
    )]
    Search(crate::commands::search::SearchArgs),
    /// Pack what a question needs to know into a budget of tokens: lines, summaries, citations, along the calls.
    #[command(
        after_help = "Examples:\n  carnet pack --budget 4000 how are retries counted\n  carnet pack --budget 8000 --depth 2 --path src open a connection | ask-a-model\n  carnet pack --json where is the configuration parsed\n\nThe lines of the best hits fill up to 60 % of the budget; then come signatures and comments of what they call and who calls them\n(resolved calls, nearest first) up to 80 %, those of further hits, and citations alone. Four bytes of what is printed count as\none token; the budget is never exceeded."
    )]
    Pack(crate::commands::pack::PackArgs),
    /// Publish the index with git, and start from one that was published.
    #[command(
        subcommand,
        after_help = "Examples:\n  carnet snapshot publish            after a merge, or in CI\n  carnet snapshot fetch              in a fresh clone, before the first question\n  carnet snapshot list origin\n  carnet snapshot publish --local --keep 2\n\nAn index lies under refs/carnet/index/<commit>. What is fetched has its digests and is of its commit; who may push such refs\nis trusted with what an index says."
    )]
    Snapshot(crate::commands::snapshot::SnapshotCommand),
    /// Print the lines that a citation names, whatever HEAD is.
    #[command(
        after_help = "Examples:\n  carnet cite src/config.rs#L10-L32@3f0c9a7d21be\n  carnet cite src/config.rs#L10-L32@3f0c9a7d21be --json\n\nThe content comes from git's store of objects, so a citation holds as long as the history does."
    )]
    Cite(crate::commands::cite::CiteArgs),
    /// Answer agents' questions to the index: an MCP server on standard input and output.
    #[command(
        after_help = "An agent starts this. For Claude Code, for example:\n  claude mcp add carnet -- carnet mcp\n\nOther agents: docs/agents.md."
    )]
    Mcp,
    /// Show how fresh the index is, and what carnet knows of this repository.
    Status(JsonArgs),
    /// Control the daemon that keeps the index fresh (it starts by itself).
    Daemon(DaemonArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Write hook files even where git takes hooks from its configuration (2.54 and later): for
    /// repositories that older versions of git use too.
    #[arg(long)]
    pub shims: bool,
    /// Show what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Show what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of commands that only differ in their form of output.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `scan`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["staged", "commits", "tree", "history", "unexamined", "stdin", "paths"])))]
pub struct ScanArgs {
    /// Scan what is staged for the next commit.
    #[arg(long)]
    pub staged: bool,
    /// Scan what a range of commits brought, such as `main..HEAD`.
    #[arg(long, value_name = "A..B")]
    pub commits: Option<String>,
    /// Scan every file of a commit or tree.
    #[arg(long, value_name = "REV")]
    pub tree: Option<String>,
    /// Scan every file of every commit that a ref reaches; what was clean before is not read again.
    #[arg(long)]
    pub history: bool,
    /// Look at commits that no hook of this clone saw since the last look; what a gate would refuse stays flagged until it is
    /// gone or accepted. The daemon does this after every change of a ref.
    #[arg(long)]
    pub unexamined: bool,
    /// The same as the path `-`.
    #[arg(long)]
    pub stdin: bool,
    /// Files and directories, or `-` for standard input.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The form of the report: for people, `carnet/scan/1`, SARIF 2.1.0, GitHub's annotations, or JUnit.
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub format: ScanFormat,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Forms of a scan's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ScanFormat {
    /// For people, on standard error.
    #[default]
    Text,
    /// `carnet/scan/1`.
    Json,
    /// SARIF 2.1.0, for code-scanning services.
    Sarif,
    /// Workflow commands, which GitHub Actions shows beside the lines.
    Github,
    /// JUnit XML, for services that show test results: one failed case a finding.
    Junit,
}

/// Verbs of `findings`.
#[derive(Debug, Subcommand)]
pub enum FindingsCommand {
    /// Add an entry to allowlists/findings.toml in the work tree, to be committed.
    #[command(
        after_help = "Examples:\n  carnet findings allow 0123456789abcdef0123456789abcdef --reason 'revoked on 2026-03-01'\n  carnet findings allow --rule private-key --path 'tests/tls/*.pem' --reason 'throw-away keys' --until 2027-06-30\n\nThe fingerprint is the one that `carnet scan --json` prints. The entry counts once it is committed."
    )]
    Allow(AllowArgs),
    /// Accept everything that stands today, by fingerprint, in allowlists/findings.baseline: adopts an old repository.
    #[command(
        after_help = "Examples:\n  carnet findings baseline --dry-run     what would be accepted\n  carnet findings baseline               what any commit of the history holds\n  carnet findings baseline --head        what HEAD's files hold\n  carnet findings baseline --renew       looked at again: new days for every line\n\nA secret in the history stays a secret: revoke it first. The file counts once it is committed; what is met no more leaves it\nthe next time. One line a finding, merged by taking both sides' lines."
    )]
    Baseline(crate::commands::baseline::BaselineArgs),
    /// Show the accepted findings in force, and which are met in HEAD's tree, or anywhere in the history.
    List(ListFindingsArgs),
}

/// Options of `findings list`.
#[derive(Debug, Args)]
pub struct ListFindingsArgs {
    /// Look through the whole history, not only HEAD's tree.
    #[arg(long)]
    pub history: bool,
    /// Write JSON (`carnet/findings-list/1`).
    #[arg(long)]
    pub json: bool,
}

/// Options of `findings allow`.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// The finding's fingerprint, 32 hex digits.
    #[arg(value_name = "FINGERPRINT", required_unless_present = "rule", conflicts_with_all = ["rule", "path"])]
    pub fingerprint: Option<String>,
    /// Accept every finding of this rule in the paths of `--path`.
    #[arg(long, value_name = "RULE", requires = "path")]
    pub rule: Option<String>,
    /// Paths in the repository, as a glob; `*` does not cross `/`.
    #[arg(long, value_name = "GLOB", requires = "rule")]
    pub path: Option<String>,
    /// Why it is accepted.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who answers for it (default: git's user.email).
    #[arg(long, value_name = "WHO")]
    pub owner: Option<String>,
    /// The last day on which it counts, YYYY-MM-DD (default: in 180 days).
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
}

/// Options of `hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// The event.
    pub event: String,
    /// Version of the calling shim.
    #[arg(long)]
    pub shim: u32,
    /// What git passed to the hook.
    #[arg(last = true)]
    pub args: Vec<std::ffi::OsString>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The lane to run in.
    #[arg(long, default_value = "code-impl")]
    pub lane: String,
    /// Collect outputs that match this glob, relative to the workspace; may be repeated.
    #[arg(long = "output", value_name = "GLOB")]
    pub outputs: Vec<String>,
    /// How a replay compares what GLOB names: exact (what everything is that is not declared), normalised[:RULE+RULE…]
    /// (archive, dates, durations; also addresses, temp-names, line-order), structural (JSON, SQLite), nondeterministic. `stdout` and
    /// `stderr` are the streams. May be repeated; the first that fits decides.
    #[arg(long = "class", value_name = "GLOB=CLASS", value_parser = carnet_core::OutputRule::parse)]
    pub classes: Vec<carnet_core::OutputRule>,
    /// Write what the command changed in its workspace to FILE, as a patch for `git apply`.
    #[arg(long, value_name = "FILE")]
    pub patch: Option<PathBuf>,
    /// Hand the command a secret, read from the secret store, a file or a descriptor that is open (`fd:0` is standard input): it finds
    /// the number of a descriptor of its own in `CARNET_SECRET_FD_<NAME>`. The record has the name alone. May be repeated.
    #[arg(long = "secret", value_name = "NAME=store[:PATH]|file:PATH|fd:N")]
    pub secrets: Vec<String>,
    /// Let the command ask a model on this machine, such as carnet's broker, which it finds at `OPENAI_BASE_URL`. What it asks and what is
    /// answered goes through the guard and is recorded; a replay answers from the record.
    #[arg(long, value_name = "ADDRESS")]
    pub model: Option<String>,
    /// The commit to run on.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub commit: String,
    /// Run on the work tree as it is: uncommitted changes and untracked files that git does not ignore are recorded as
    /// part of the run, after the guard has seen them; neither index nor work tree is touched.
    #[arg(long, conflicts_with = "commit")]
    pub dirty: bool,
    /// Let success count as validation: the passport says `validationPass`, and the run is locked for good.
    #[arg(long)]
    pub validate: bool,
    /// Record it as an urgent repair: the passport's kind is `hotfix`.
    #[arg(long)]
    pub hotfix: bool,
    /// Write the passport as JSON instead of the command's output.
    #[arg(long)]
    pub json: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "ARGV")]
    pub argv: Vec<String>,
}

/// Options of `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Show at most N runs.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Only runs of this lane.
    #[arg(long)]
    pub lane: Option<String>,
    /// Only runs that ended like this.
    #[arg(long, value_enum)]
    pub outcome: Option<EndingArg>,
    /// Only runs of this kind.
    #[arg(long, value_enum)]
    pub kind: Option<KindArg>,
    /// Only runs on this commit.
    #[arg(long, value_name = "REV")]
    pub commit: Option<String>,
    /// Only runs of this tool, by its name.
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,
    /// Only runs that left an artifact at this path or below it, or had it as an argument.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Only locked runs.
    #[arg(long)]
    pub locked: bool,
    /// Only runs since this day (YYYY-MM-DD, UTC) or time (RFC 3339).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Write JSON (`carnet/runs/1`, `carnet/log/1`).
    #[arg(long)]
    pub json: bool,
}

/// Endings by which runs can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EndingArg {
    /// Exited with zero.
    Succeeded,
    /// Exited with another code, or killed by a signal.
    Failed,
    /// Out of time or out of quota.
    Limited,
    /// Never started.
    Refused,
    /// Stopped from outside.
    Interrupted,
    /// Ended with carnet itself: killed, or the machine went down.
    Crashed,
}

/// Kinds by which runs can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KindArg {
    /// Ordinary work.
    Baseline,
    /// Urgent repairs.
    Hotfix,
    /// An earlier run done again.
    Replay,
    /// Tries of the confinement.
    Sandbox,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run's id, or its first digits.
    pub run: String,
    /// Write the passport as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Verbs of `passport`.
#[derive(Debug, Subcommand)]
pub enum PassportCommand {
    /// Check signature, manifest, digests and ledger entry of a run.
    Verify(ShowArgs),
    /// Print this clone's public key, for those who shall trust its runs.
    Key {
        /// Print a PEM block, for other tools.
        #[arg(long)]
        pem: bool,
    },
}

/// Options of `attest`.
#[derive(Debug, Args)]
pub struct AttestArgs {
    /// The run's id, or its first digits.
    pub run: String,
    /// The form.
    #[arg(long, value_enum, default_value_t)]
    pub format: AttestFormat,
}

/// Forms of an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum AttestFormat {
    /// The recorded passport and its signature as one DSSE envelope.
    #[default]
    InToto,
    /// SLSA provenance v1, derived from the passport and signed by this clone's key.
    Slsa,
    /// The passport's statement alone, as it is stored.
    Json,
}

/// Options of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// The remote (default: origin, or the only one).
    pub remote: Option<String>,
    /// Write JSON (`carnet/sync/1`).
    #[arg(long)]
    pub json: bool,
}

/// Which state of the code a question is about.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct FreshArgs {
    /// Answer from the index as it is, without waiting for it to reach HEAD.
    #[arg(long)]
    pub no_wait: bool,
    /// Answer for HEAD or not at all: wait until the index is there, two minutes at most, then exit with 4.
    #[arg(long, conflicts_with = "no_wait")]
    pub wait_fresh: bool,
    /// Answer for the work tree, uncommitted edits and new source files included, each marked as such.
    #[arg(long, conflicts_with = "no_wait")]
    pub dirty: bool,
}

/// Options of the query verbs.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The symbol's name, or `Type::method`.
    pub name: String,
    #[command(flatten)]
    pub fresh: FreshArgs,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<DaemonVerb>,
    /// Bring the index up to date once and exit (for cron).
    #[arg(long)]
    pub once: bool,
    /// Write JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Verbs of `daemon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum DaemonVerb {
    /// Run in the foreground until stopped or idle.
    Run {
        /// Do not end when nothing happens for half an hour (for units).
        #[arg(long)]
        stay: bool,
    },
    /// Start it in the background.
    Start,
    /// Stop it.
    Stop,
    /// Say whether it runs (what is done when no verb is given).
    Status,
    /// Print what the daemon did: commits, durations, errors.
    Logs {
        /// How many of the last lines.
        #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
        lines: usize,
        /// Go on with what comes, until interrupted.
        #[arg(short, long)]
        follow: bool,
    },
    /// Do what belongs to the vectors and is due: the daemon has it done by itself.
    Vectors,
    /// Print a unit that keeps the daemon of this repository running from login on.
    Unit {
        /// For which system (default: the one this is).
        #[arg(long, value_enum)]
        system: Option<UnitSystem>,
    },
}

/// What starts units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum UnitSystem {
    /// A systemd user unit.
    Systemd,
    /// A launchd property list, for macOS.
    Launchd,
}
