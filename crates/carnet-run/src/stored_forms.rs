//! Every stored form that comes from elsewhere, read from the same bytes: what the fuzz target and its bounded twin share.

use carnet_access::dsse::Signatures;
use carnet_core::{ModelRecord, passport::Statement};

use crate::{
    backup,
    checkpoint::{Checkpoint, SignedCheckpoint},
    event::SignedEvent,
    index, journal, shelf,
};

/// Has every reader look at `bytes`.
///
/// # Panics
///
/// When a reader does, or when what it read is another thing after it was written and read again.
pub fn read_them_all(bytes: &[u8]) {
    if let Ok(statement) = Statement::from_json(bytes) {
        let again = Statement::from_json(&statement.to_canonical_json());
        assert_eq!(again.ok(), Some(statement));
    }
    if let Ok(signatures) = Signatures::from_json(bytes) {
        let again = Signatures::from_json(&signatures.to_json());
        assert_eq!(again.ok(), Some(signatures));
    }
    if let Ok(manifest) = serde_json::from_slice::<backup::Manifest>(bytes) {
        let again = serde_json::from_slice::<backup::Manifest>(&manifest.to_canonical_json());
        assert_eq!(again.ok(), Some(manifest));
    }
    if let Ok(entry) = serde_json::from_slice::<journal::Entry>(bytes) {
        let again = serde_json::to_vec(&entry).expect("because a journal has string keys");
        assert_eq!(serde_json::from_slice::<journal::Entry>(&again).ok(), Some(entry));
    }
    if let Ok(record) = ModelRecord::from_lines(bytes) {
        let again = ModelRecord::from_lines(&record.to_lines());
        assert!(again.is_ok_and(|again| again == record));
    }
    index::read_any(bytes);
    carnet_git::stored_forms::read_them_all(bytes);
    carnet_guard::stored_forms::read_them_all(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Ok(signed) = SignedCheckpoint::parse(&text) {
        let checkpoint = serde_json::to_vec(&signed.checkpoint);
        let checkpoint = checkpoint.expect("because a checkpoint has string keys");
        assert_eq!(serde_json::from_slice::<Checkpoint>(&checkpoint).ok(), Some(signed.checkpoint));
    }
    if let Ok(signed) = SignedEvent::parse(&text) {
        assert!(text.contains(signed.line()));
        assert!(signed.verify(&[]).is_err());
    }
    let word = shelf::read(&text, "0123456789abcdef", &[]);
    assert!(word.is_none_or(|(_, problem)| problem.is_some()));
}

#[cfg(test)]
pub(crate) mod tests {
    use carnet_access::keys::SigningKey;
    use carnet_core::{
        Body, Digest, GitOid, LaneName, ModelExchange, ModelReply, ModelRequest, ObjectFormat,
        Outcome, Quota, RunId, Timestamp, Usage,
        passport::{
            Artifact, CacheUse, EnvSnapshot, PAYLOAD_TYPE, Passport, PolicyRef, Request,
            RunIdentity, RunKind, Source,
        },
    };
    use carnet_git::Pointer;
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::{CHECKPOINT_FORMAT, CHECKPOINT_PAYLOAD_TYPE, ChainState};

    pub(crate) fn statement() -> Statement {
        let at = Timestamp::from_millis(1_795_000_000_000);
        let id = GitOid::from_bytes(&[3; 20]).unwrap();
        Statement::new(Passport {
            run: RunIdentity {
                id: RunId::from_random([7; 16]),
                kind: RunKind::Baseline,
                writer: "0123456789abcdef".to_owned(),
                replay_of: None,
                account: None,
                idempotency_key: None,
                carnet_version: "0.1.0".to_owned(),
            },
            lane: LaneName::new("code-impl").unwrap(),
            request: Request {
                secrets: vec![],
                argv: vec!["make".to_owned()],
                outputs: vec!["out".to_owned()],
                validate: false,
                classes: vec![],
                patch: false,
                directory: None,
                model: None,
            },
            source: Source {
                commit: id,
                tree: id,
                dirty: false,
                object_format: ObjectFormat::Sha1,
                tree_sha256: Digest::of(b"tree"),
            },
            environment: EnvSnapshot {
                tools: vec![],
                platform: "linux/x86_64".to_owned(),
                kernel: "6.1".to_owned(),
                variables: [("PATH".to_owned(), "/usr/bin".to_owned())].into(),
                pins: None,
            },
            policy: PolicyRef {
                origin: "built-in".to_owned(),
                lane_sha256: Digest::of(b"lane"),
                rule: "make".to_owned(),
                scan_rules_sha256: Digest::of(b"rules"),
                tightened_by: vec![],
            },
            enforcement: vec![],
            quota: Quota {
                cpu_pct: 100,
                memory_bytes: 1 << 30,
                wall_ms: 900_000,
                processes: 64,
                disk_bytes: 1 << 30,
                output_bytes: 1 << 20,
                parallel: 2,
            },
            usage: Usage::default(),
            artifacts: vec![Artifact {
                name: "out".to_owned(),
                sha256: Digest::of(b"out"),
                size_bytes: 3,
                media_type: "text/plain".to_owned(),
                executable: false,
            }],
            caches: vec![CacheUse {
                name: "cargo".to_owned(),
                found_of: Some(RunId::from_random([8; 16])),
                found_bytes: 5,
                kept: true,
                reason: "something new was in it".to_owned(),
            }],
            withheld: vec![],
            logs: vec![],
            model: None,
            started_at: at,
            finished_at: at,
            outcome: Outcome::Exited { exit_code: 0 },
            validation_pass: false,
            incomplete: None,
        })
    }

    fn sound() -> Vec<Vec<u8>> {
        let key = SigningKey::from_seed([1; 32]);
        let at = Timestamp::from_millis(1_795_000_000_000);
        let passport = statement().to_canonical_json();
        let signatures = Signatures::sign(PAYLOAD_TYPE, &passport, &key).to_json();
        let pointer = Pointer { digest: Digest::of(b"large"), size_bytes: 5 << 20 };
        let request = ModelRequest::new("POST", "/v1/chat/completions", b"{\"n\":1}", 0);
        let (headers, body) = (Default::default(), Body::verbatim(b"\xff"));
        let reply = ModelReply { status: 200, headers, body, n_redactions: 0 };
        let mut record = ModelRecord::default();
        record.push(ModelExchange::new(request, reply));
        let entry = journal::Entry {
            format: journal::FORMAT.to_owned(),
            passport: statement().predicate,
            policy_files: vec![("deny.toml".to_owned(), "x".to_owned())],
        };
        let checkpoint = Checkpoint {
            format: CHECKPOINT_FORMAT.to_owned(),
            writer: key.public().writer(),
            public_key: key.public().to_string(),
            at,
            previous: None,
            chains: vec![ChainState {
                name: "ledger/0123456789abcdef/2026-11-22".to_owned(),
                tip: GitOid::from_bytes(&[3; 20]).unwrap(),
                n_events: 7,
                root: Digest::of(b"root"),
            }],
        };
        let line = serde_json::to_string(&checkpoint).unwrap();
        let signed = Signatures::sign(CHECKPOINT_PAYLOAD_TYPE, line.as_bytes(), &key).to_json();
        let checkpoint = format!("checkpoint\n\n{line}\n{}\n", String::from_utf8(signed).unwrap());
        vec![
            record.to_lines(),
            serde_json::to_vec(&entry).unwrap(),
            checkpoint.into_bytes(),
            shelf::tests::message(&key, &key.public().writer()).into_bytes(),
            signatures,
            crate::event::tests::event().to_message(&key).into_bytes(),
            backup::tests::manifest(at, None).to_canonical_json(),
            pointer.to_text().into_bytes(),
            passport,
        ]
    }

    #[test]
    fn each_reader_reads_its_own_form() {
        let [record, entry, checkpoint, put, signatures, event, manifest, pointer, passport] =
            sound().try_into().unwrap();
        assert_eq!(ModelRecord::from_lines(&record).unwrap().exchanges().len(), 1);
        assert!(serde_json::from_slice::<journal::Entry>(&entry).is_ok());
        assert!(SignedCheckpoint::parse(std::str::from_utf8(&checkpoint).unwrap()).is_ok());
        assert!(shelf::read(std::str::from_utf8(&put).unwrap(), "0123456789abcdef", &[]).is_some());
        assert!(Signatures::from_json(&signatures).is_ok());
        assert!(SignedEvent::parse(std::str::from_utf8(&event).unwrap()).is_ok());
        assert!(serde_json::from_slice::<backup::Manifest>(&manifest).is_ok());
        assert!(Pointer::parse(&pointer).is_some());
        assert_eq!(Statement::from_json(&passport).unwrap(), statement());
    }

    proptest! {
        #[test]
        fn damaged_forms_never_stop_a_reader(
            form in 0..9_usize,
            from in any::<prop::sample::Index>(),
            n_bytes in 0..40_usize,
            put in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[0-9]{1,24}|[{}\\[\\]\",:]{1,8}|null|true|-1|1e9|\\\\u0000".prop_map(String::into_bytes),
            ],
        ) {
            let mut bytes = sound().swap_remove(form);
            let from = from.index(bytes.len());
            let until = (from + n_bytes).min(bytes.len());
            bytes.splice(from..until, put);
            read_them_all(&bytes);
        }
    }
}
