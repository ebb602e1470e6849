//! Events of the ledger: their text in a commit message, and back. The form is `docs/format/ledger.md`.
//!
//! No IO. What was signed is the line as it stands in the message, byte for byte: reading never re-serialises.

use carnet_access::dsse::{Signatures, VerifyError};
use carnet_access::keys::{PublicKey, SigningKey};
use carnet_core::{
    Digest, GitOid, LaneName, Outcome, RunId, Timestamp,
    passport::{Passport, RunKind},
};
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const EVENT_FORMAT: &str = "carnet/ledger/1";
/// DSSE payload type of an event.
pub const EVENT_PAYLOAD_TYPE: &str = "application/vnd.carnet.ledger+json";

/// What an event says of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// It was recorded: the event stands in a day's ledger.
    Run,
    /// It was validated and is locked: the event stands in a month's locked runs.
    Lock,
}

/// One recorded run, as the ledger lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    /// Always [`EVENT_FORMAT`].
    pub format: String,
    /// What happened: the run was recorded, or locked.
    pub event: EventKind,
    /// The run.
    pub run: RunId,
    /// Its run commit.
    pub commit: GitOid,
    /// Digest of its `passport.json`.
    pub passport_sha256: Digest,
    /// The event commit before this one in the same ref.
    pub previous: Option<GitOid>,
    /// Who wrote it.
    pub writer: String,
    /// The writer's key, in the first event of a ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// When it was written.
    pub at: Timestamp,
    /// Copied from the passport.
    pub lane: LaneName,
    /// Copied from the passport.
    pub kind: RunKind,
    /// Copied from the passport.
    pub argv: Vec<String>,
    /// Copied from the passport.
    pub outcome: Outcome,
    /// Copied from the passport.
    pub source_commit: GitOid,
    /// Copied from the passport: elapsed time in milliseconds.
    pub wall_ms: u64,
}

impl RunEvent {
    /// Makes the event of a run whose commit is `commit`.
    pub fn new(
        event: EventKind,
        passport: &Passport,
        commit: GitOid,
        passport_sha256: Digest,
        previous: Option<GitOid>,
        key: &PublicKey,
    ) -> RunEvent {
        RunEvent {
            format: EVENT_FORMAT.to_owned(),
            event,
            run: passport.run.id,
            commit,
            passport_sha256,
            previous,
            writer: passport.run.writer.clone(),
            public_key: previous.is_none().then(|| key.to_string()),
            at: passport.finished_at,
            lane: passport.lane.clone(),
            kind: passport.run.kind,
            argv: passport.request.argv.clone(),
            outcome: passport.outcome.clone(),
            source_commit: passport.source.commit,
            wall_ms: passport.usage.wall_ms,
        }
    }

    /// Returns the commit message: a line for people, the event, its signature.
    pub fn to_message(&self, key: &SigningKey) -> String {
        let line = serde_json_canonicalizer::to_string(self)
            .expect("because an event has string keys and no floating-point numbers");
        let signatures = Signatures::sign(EVENT_PAYLOAD_TYPE, line.as_bytes(), key);
        let signatures = String::from_utf8_lossy(&signatures.to_json()).into_owned();
        format!("{}\n\n{line}\n{signatures}\n", self.subject())
    }

    fn subject(&self) -> String {
        let command: String = self.argv.join(" ").chars().map(printable).take(60).collect();
        let what = match self.event {
            EventKind::Run => "run",
            EventKind::Lock => "locked run",
        };
        let ended = describe(&self.outcome);
        format!("{what} {}: {ended} ({}: {command})", self.run.short(), self.lane)
    }
}

fn printable(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

/// Says in a few words how a run ended.
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exited { exit_code } => format!("exited {exit_code}"),
        Outcome::Signalled { signal } => format!("killed by signal {signal}"),
        Outcome::TimedOut { wall_ms_max } => format!("out of time after {wall_ms_max} ms"),
        Outcome::OutOfQuota { limit } => format!("out of quota: {limit:?}").to_lowercase(),
        Outcome::Refused { rule, .. } => format!("refused by {rule}"),
        Outcome::Interrupted => "interrupted".to_owned(),
        Outcome::Crashed => "crashed".to_owned(),
    }
}

/// Why a commit message is no event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// There is no event line, or no signature line.
    #[error("the commit message holds no ledger event")]
    Shape,
    /// The event or its signature is malformed.
    #[error("the ledger event is malformed")]
    Json(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error("the ledger event has format `{0}`, which this version does not read")]
    Format(String),
}

/// An event as it was read, with the bytes that were signed.
#[derive(Debug, Clone)]
pub struct SignedEvent {
    /// The event.
    pub event: RunEvent,
    line: String,
    signatures: Signatures,
}

impl SignedEvent {
    /// Reads a commit message.
    ///
    /// # Errors
    ///
    /// [`EventError`].
    pub fn parse(message: &str) -> Result<SignedEvent, EventError> {
        let body = message.split_once("\n\n").ok_or(EventError::Shape)?.1;
        let (line, rest) = body.split_once('\n').ok_or(EventError::Shape)?;
        let format: Format = serde_json::from_str(line)?;
        if format.format != EVENT_FORMAT {
            return Err(EventError::Format(format.format));
        }
        let event = serde_json::from_str(line)?;
        let signatures = Signatures::from_json(rest.trim_end().as_bytes())?;
        Ok(SignedEvent { event, line: line.to_owned(), signatures })
    }

    /// Returns the event as it was signed: one line of JSON.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Checks the signature and returns the signer's key id.
    ///
    /// # Errors
    ///
    /// [`VerifyError`].
    pub fn verify(&self, trusted: &[PublicKey]) -> Result<Digest, VerifyError> {
        self.signatures.verify(EVENT_PAYLOAD_TYPE, self.line.as_bytes(), trusted)
    }
}

#[derive(Deserialize)]
struct Format {
    format: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn event() -> RunEvent {
        RunEvent {
            format: EVENT_FORMAT.to_owned(),
            event: EventKind::Run,
            run: RunId::from_random([7; 16]),
            commit: GitOid::from_bytes(&[1; 20]).unwrap(),
            passport_sha256: Digest::of(b"passport"),
            previous: None,
            writer: "0123456789abcdef".to_owned(),
            public_key: None,
            at: Timestamp::from_millis(1_795_000_000_000),
            lane: LaneName::new("code-impl").unwrap(),
            kind: RunKind::Baseline,
            argv: vec!["make".to_owned(), "line\nbreak".to_owned()],
            outcome: Outcome::Exited { exit_code: 2 },
            source_commit: GitOid::from_bytes(&[2; 20]).unwrap(),
            wall_ms: 12,
        }
    }

    #[test]
    fn an_event_round_trips_through_its_message_and_verifies() {
        let key = SigningKey::from_seed([1; 32]);
        let message = event().to_message(&key);
        assert!(message.starts_with("run 07070707: exited 2 (code-impl: make line break)\n\n{"));
        let signed = SignedEvent::parse(&message).unwrap();
        assert_eq!(signed.event, event());
        assert_eq!(signed.verify(&[key.public()]).unwrap(), key.public().id());
    }

    #[test]
    fn a_changed_event_no_longer_verifies() {
        let key = SigningKey::from_seed([1; 32]);
        let message = event().to_message(&key).replace("\"exitCode\":2", "\"exitCode\":0");
        let signed = SignedEvent::parse(&message).unwrap();
        assert!(matches!(signed.verify(&[key.public()]), Err(VerifyError::BadSignature(_))));
    }

    #[test]
    fn other_messages_are_no_events() {
        let parse = |message: &str| SignedEvent::parse(message).unwrap_err();
        assert!(matches!(parse("just a commit"), EventError::Shape));
        assert!(matches!(parse("subject\n\nbody\n"), EventError::Json(_)));
        let later = "s\n\n{\"format\":\"carnet/ledger/2\"}\n{}\n";
        assert!(matches!(parse(later), EventError::Format(_)));
    }
}
