//! A passport in the words of others: a whole DSSE envelope, and SLSA provenance.
//!
//! No IO. The envelope carries the recorded signature; the provenance is derived, and signed by whoever derives it.

use carnet_core::{
    Timestamp,
    passport::{STATEMENT_TYPE, Statement, Subject},
};
use serde::Serialize;
use serde_json::{Value, json};

/// `predicateType` of SLSA provenance v1.
pub const PROVENANCE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What kind of build a carnet run is: how to read `externalParameters`.
pub const BUILD_TYPE: &str = "https://carnet.dev/run/v1";

/// An in-toto Statement v1 with SLSA provenance.
#[derive(Debug, Clone, Serialize)]
pub struct Provenance {
    #[serde(rename = "_type")]
    statement_type: &'static str,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: &'static str,
    external_parameters: Value,
    internal_parameters: Value,
    resolved_dependencies: Vec<Value>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct RunDetails {
    builder: Value,
    metadata: Metadata,
    byproducts: Vec<Value>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    invocation_id: String,
    started_on: Timestamp,
    finished_on: Timestamp,
}

/// Returns SLSA provenance for the artifacts of a run; `None` for a run that was refused, interrupted or crashed, which
/// built nothing.
///
/// # Source
///
/// SLSA v1.0, "Provenance": `buildDefinition` says what was asked and on what, `runDetails` by whom and when.
pub fn provenance(statement: &Statement) -> Option<Provenance> {
    let passport = &statement.predicate;
    if !passport.outcome.has_ended() {
        return None;
    }
    let mut resolved_dependencies = vec![json!({
        "name": "source",
        "digest": { "gitCommit": passport.source.commit, "gitTree": passport.source.tree, "sha256": passport.source.tree_sha256 },
    })];
    resolved_dependencies.extend(passport.environment.tools.iter().map(|tool| {
        json!({ "name": tool.name, "uri": format!("file://{}", tool.path), "digest": { "sha256": tool.sha256 } })
    }));
    let byproducts = passport.logs.iter().map(
        |log| json!({ "name": format!("logs/{}", log.name), "digest": { "sha256": log.sha256 } }),
    );
    // SLSA's subjects are what was built; the source is among the dependencies.
    let subject =
        statement.subject.iter().filter(|subject| subject.name != "source").cloned().collect();
    Some(Provenance {
        statement_type: STATEMENT_TYPE,
        subject,
        predicate_type: PROVENANCE_TYPE,
        predicate: Predicate {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE,
                external_parameters: json!({
                    "lane": passport.lane,
                    "argv": passport.request.argv,
                    "outputs": passport.request.outputs,
                }),
                internal_parameters: json!({
                    "variables": passport.environment.variables,
                    "platform": passport.environment.platform,
                    "kernel": passport.environment.kernel,
                    "policy": passport.policy,
                    "outcome": passport.outcome,
                }),
                resolved_dependencies,
            },
            run_details: RunDetails {
                builder: json!({
                    "id": format!("https://carnet.dev/writer/{}", passport.run.writer),
                    "version": { "carnet": passport.run.carnet_version },
                }),
                metadata: Metadata {
                    invocation_id: passport.run.id.to_string(),
                    started_on: passport.started_at,
                    finished_on: passport.finished_at,
                },
                byproducts: byproducts.collect(),
            },
        },
    })
}

impl Provenance {
    /// Tells whether there is anything built to speak of; in-toto statements need a subject.
    pub fn has_subject(&self) -> bool {
        !self.subject.is_empty()
    }

    /// Returns the canonical JSON that is signed.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self)
            .expect("because provenance has string keys and no floating-point numbers")
    }
}
