//! One module per verb.

mod annotations;
pub mod approve;
pub mod artifact;
mod attest;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod baseline;
pub mod broker;
mod broker_serve;
pub mod cache;
pub mod calibrate;
pub mod cite;
mod daemon;
mod daemon_logs;
mod daemon_unit;
mod daemon_vectors;
mod doctor;
mod embedding;
mod findings;
pub mod gc;
pub mod graph;
mod hook;
mod init;
mod junit;
mod known_values;
pub mod licence;
mod log;
mod mcp;
mod model_address;
pub mod network;
pub mod pack;
mod passport;
mod picture;
pub mod policy;
pub mod presented;
mod progress;
mod query;
pub mod redact;
mod redaction_map;
pub mod replay;
mod replay_all;
mod report;
pub mod rules;
mod run;
mod runs;
pub(crate) mod sandbox;
mod sarif;
mod scan;
pub mod search;
pub mod secret;
mod secret_source;
mod secret_store;
mod show;
pub mod snapshot;
mod status;
mod sync;
pub mod tools;
mod verify;

use carnet_core::ExitCode;
use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Command, PassportCommand},
    error::CommandResult,
    ui::Ui,
};

/// Does what was asked.
pub fn dispatch(ui: &Ui, command: Command) -> CommandResult {
    match command {
        Command::Init(args) => init::init(ui, &args),
        Command::Uninstall(args) => init::uninstall(ui, &args),
        Command::Doctor(args) => doctor::doctor(ui, &args),
        Command::Scan(args) => scan::scan(ui, &args),
        Command::Rules(command) => rules::rules(ui, &command),
        Command::Findings(command) => findings::findings(ui, &command),
        Command::Licence(command) => licence::licence(ui, &command),
        Command::Redact(args) => redact::redact(ui, &args),
        Command::Rehydrate(args) => redact::rehydrate(ui, &args),
        Command::Approve(args) => approve::approve(ui, &args),
        Command::Hook(args) => hook::hook(ui, &args),
        Command::Run(args) => run::run(ui, args),
        Command::Log(args) => log::log(ui, &args),
        Command::Sandbox(args) => sandbox::sandbox(ui, args),
        Command::Runs(args) => runs::runs(ui, &args),
        Command::Show(args) => show::show(ui, &args),
        Command::Auth(command) => auth::auth(ui, &command),
        Command::Secret(command) => secret::secret(ui, &command),
        Command::Audit(command) => audit::audit(ui, &command),
        Command::Verify(args) => verify::verify(ui, &args),
        Command::Checkpoint(args) => verify::checkpoint(ui, &args),
        Command::Passport(PassportCommand::Verify(args)) => passport::verify(ui, &args),
        Command::Passport(PassportCommand::Key { pem }) => passport::key(ui, pem),
        Command::Policy(command) => policy::policy(ui, &command),
        Command::Broker(command) => broker::broker(ui, &command),
        Command::Calibrate(command) => calibrate::calibrate(ui, &command),
        Command::Tools(command) => tools::tools(ui, &command),
        Command::Attest(args) => attest::attest(ui, &args),
        Command::Artifact(command) => artifact::artifact(ui, &command),
        Command::Backup(command) => backup::backup(ui, &command),
        Command::Cache(command) => cache::cache(ui, &command),
        Command::Gc(args) => gc::gc(ui, &args, true),
        Command::Replay(args) => replay::replay(ui, &args),
        Command::Sync(args) => sync::sync(ui, &args),
        Command::WhereDefined(args) => query::where_defined(ui, &args),
        Command::WhoCalls(args) => graph::who_calls(ui, &args),
        Command::Calls(args) => graph::calls(ui, &args),
        Command::ImpactSet(args) => graph::impact_set(ui, &args),
        Command::Implementations(args) => graph::implementations(ui, &args),
        Command::Outline(args) => graph::outline(ui, &args),
        Command::Search(args) => search::search(ui, &args),
        Command::Pack(args) => pack::pack(ui, &args),
        Command::Cite(args) => cite::cite(ui, &args),
        Command::Graph(args) => network::graph(ui, &args),
        Command::Snapshot(command) => snapshot::snapshot(ui, &command),
        Command::Mcp => mcp::mcp(ui),
        Command::Status(args) => status::status(ui, &args),
        Command::Daemon(args) => daemon::daemon(ui, &args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "carnet", &mut std::io::stdout());
            Ok(ExitCode::Done)
        }
    }
}
