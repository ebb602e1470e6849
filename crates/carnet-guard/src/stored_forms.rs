//! The stored forms of this room that may come from elsewhere, read from the same bytes: what a fuzz target and its bounded twin share.

use crate::{
    audit::{AuditEntry, read_message},
    receipts::Line,
};

/// Has every reader look at `bytes`.
///
/// # Panics
///
/// When a reader does, or when what it read is another thing after it was written and read again.
pub fn read_them_all(bytes: &[u8]) {
    if let Ok(entry) = serde_json::from_slice::<AuditEntry>(bytes) {
        let text = serde_json::to_vec(&entry).expect("because an entry has string keys");
        assert_eq!(serde_json::from_slice::<AuditEntry>(&text).ok(), Some(entry));
    }
    if let Ok(line) = serde_json::from_slice::<Line>(bytes) {
        let text = serde_json::to_vec(&line).expect("because a line has string keys");
        let again = serde_json::from_slice::<Line>(&text).expect("because it was written just now");
        assert_eq!((again.receipt, again.signatures), (line.receipt, line.signatures));
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok((lines, _)) = read_message(&text) {
        assert!(lines.iter().all(|line| text.contains(line.text())));
    }
}

#[cfg(test)]
mod tests {
    use carnet_access::{dsse::Signatures, keys::SigningKey};
    use carnet_core::{Digest, GitOid, RunId, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::{AuditEvent, AuditKind, GuardReceipt};

    fn sound() -> [Vec<u8>; 3] {
        let at = Timestamp::from_millis(1_795_000_000_000);
        let key = SigningKey::from_seed([1; 32]);
        let mut event = AuditEvent::new(AuditKind::Refusal, "pre-commit", at);
        event.run = Some(RunId::from_random([7; 16]));
        event.findings = vec!["rule path:1 fingerprint".to_owned()];
        let entry = AuditEntry {
            format: "carnet/audit/1".to_owned(),
            writer: key.public().writer(),
            public_key: Some(key.public().to_string()),
            n: 1,
            previous: None,
            event,
        };
        let entry = serde_json::to_string(&entry).unwrap();
        let signatures = Signatures::sign("text/plain", entry.as_bytes(), &key).to_json();
        let signatures = String::from_utf8(signatures).unwrap();
        let message = format!("refusal at pre-commit\n\n{entry}\n{signatures}\n");
        let tree = GitOid::from_bytes(&[3; 20]).unwrap();
        let receipt = GuardReceipt {
            at,
            base: vec![tree],
            format: "carnet/guard-receipt/1".to_owned(),
            policy: Digest::of(b"policy"),
            rules: Digest::of(b"rules"),
            tree,
        };
        let line = Line { receipt, signatures: serde_json::from_str(&signatures).unwrap() };
        [entry.into_bytes(), message.into_bytes(), serde_json::to_vec(&line).unwrap()]
    }

    #[test]
    fn each_reader_reads_its_own_form() {
        let [entry, message, line] = sound();
        assert!(serde_json::from_slice::<AuditEntry>(&entry).is_ok());
        let (lines, _) = read_message(std::str::from_utf8(&message).unwrap()).unwrap();
        assert_eq!(lines[0].text().as_bytes(), entry);
        assert!(serde_json::from_slice::<Line>(&line).is_ok());
    }

    proptest! {
        #[test]
        fn damaged_forms_never_stop_a_reader(
            form in 0..3_usize,
            from in any::<prop::sample::Index>(),
            n_bytes in 0..40_usize,
            put in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[0-9]{1,24}|[{}\\[\\]\",:]{1,8}|null|true|-1|1e9|\\\\u0000".prop_map(String::into_bytes),
            ],
        ) {
            let mut bytes = sound()[form].clone();
            let from = from.index(bytes.len());
            let until = (from + n_bytes).min(bytes.len());
            bytes.splice(from..until, put);
            read_them_all(&bytes);
        }
    }
}
