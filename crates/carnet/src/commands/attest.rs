//! `carnet attest`: a run in the words of other tools.

use carnet_access::dsse::Signatures;
use carnet_core::{ExitCode, passport::PAYLOAD_TYPE};
use carnet_run::{attest::provenance, index, ledger};

use crate::{
    cli::{AttestArgs, AttestFormat},
    error::{CommandError, CommandResult},
    ui::Ui,
    workspace::Workspace,
};

/// Writes an attestation of one run.
pub fn attest(ui: &Ui, args: &AttestArgs) -> CommandResult {
    let workspace = Workspace::discover()?;
    let repo = &workspace.repo;
    let commit = index::open(repo)?.find(repo, &args.run)?.event().commit;
    let passport = ledger::read_file(repo, commit, "passport.json")?;
    match args.format {
        AttestFormat::InToto => {
            let signatures = ledger::read_file(repo, commit, "passport.sig")?;
            let signatures = Signatures::from_json(&signatures).map_err(|error| {
                CommandError::of(ExitCode::Incomplete, &error)
                    .hint(format!("See what is damaged: `carnet passport verify {}`.", args.run))
            })?;
            ui.json(&signatures.envelope(&passport));
        }
        AttestFormat::Slsa => {
            let statement = ledger::read_passport(repo, commit)?;
            let provenance = provenance(&statement).filter(|made| made.has_subject()).ok_or_else(|| {
                CommandError::new(ExitCode::Refused, format!("run `{}` built no artifact to attest", args.run))
                    .hint("Collect outputs with `carnet run --output GLOB`, or use `--format in-toto`.")
            })?;
            let payload = provenance.to_canonical_json();
            ui.json(
                &Signatures::sign(PAYLOAD_TYPE, &payload, &workspace.key()?).envelope(&payload),
            );
        }
        AttestFormat::Json => {
            ui.out_bytes(&passport);
            ui.out("\n");
        }
    }
    Ok(ExitCode::Done)
}
