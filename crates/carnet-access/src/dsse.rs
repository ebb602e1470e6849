//! Dead Simple Signing Envelopes: what a signature covers, and its stored form.
//!
//! A detached [`Signatures`] file lies beside the payload it signs; [`Signatures::envelope`] joins the two
//! into the envelope that other DSSE verifiers read. This module does no IO.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use carnet_core::Digest;
use serde::{Deserialize, Serialize};

use crate::keys::{PublicKey, SigningKey};

/// Returns the bytes that are signed: the pre-authentication encoding of type and payload.
///
/// # Source
///
/// DSSE v1.0, "PAE": `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`, lengths in decimal.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut encoded = head.into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// The signatures over one payload, stored beside it: a DSSE envelope without its `payload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signatures {
    /// Media type of the payload; part of what is signed.
    pub payload_type: String,
    /// One entry a signer.
    pub signatures: Vec<Signature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Id of the key: SHA-256 of the raw 32-byte public key.
    pub keyid: Digest,
    /// The 64 signature bytes in standard base64 with padding.
    pub sig: String,
}

/// A whole envelope, as other programs read it (DSSE v1.0 JSON form).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The payload in standard base64.
    pub payload: String,
    /// Type and signatures.
    #[serde(flatten)]
    pub signatures: Signatures,
}

/// Why a payload is not taken as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature file says another type than the payload has.
    #[error("the signature is for `{found}`, not for `{expected}`")]
    PayloadType {
        /// The type the reader expects.
        expected: String,
        /// The type the file states.
        found: String,
    },
    /// No signature is by a key that is trusted here.
    #[error("no signature is by a trusted key; signed by `{}`", key_ids(.0))]
    UnknownKey(Vec<Digest>),
    /// A trusted key's signature does not fit the payload.
    #[error("the signature by key `{0}` does not fit: the payload was changed after signing")]
    BadSignature(Digest),
}

fn key_ids(ids: &[Digest]) -> String {
    if ids.is_empty() {
        return "no one".to_owned();
    }
    ids.iter().map(Digest::to_string).collect::<Vec<_>>().join("`, `")
}

impl Signatures {
    /// Signs a payload with one key.
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Signatures {
        let sig = key.sign(&pre_authentication_encoding(payload_type, payload));
        Signatures {
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature { keyid: key.public().id(), sig: STANDARD.encode(sig) }],
        }
    }

    /// Checks that a trusted key signed exactly this payload as this type, and returns that key's id.
    ///
    /// # Errors
    ///
    /// [`VerifyError`]; a trusted key whose signature fails is an error even when another would pass.
    pub fn verify(
        &self,
        payload_type: &str,
        payload: &[u8],
        trusted: &[PublicKey],
    ) -> Result<Digest, VerifyError> {
        if self.payload_type != payload_type {
            return Err(VerifyError::PayloadType {
                expected: payload_type.to_owned(),
                found: self.payload_type.clone(),
            });
        }
        let signed = pre_authentication_encoding(payload_type, payload);
        let mut signer = None;
        for signature in &self.signatures {
            let Some(key) = trusted.iter().find(|key| key.id() == signature.keyid) else {
                continue;
            };
            let fits = STANDARD.decode(&signature.sig).is_ok_and(|sig| key.verify(&signed, &sig));
            if !fits {
                return Err(VerifyError::BadSignature(signature.keyid));
            }
            signer.get_or_insert(signature.keyid);
        }
        let unknown = || self.signatures.iter().map(|signature| signature.keyid).collect();
        signer.ok_or_else(|| VerifyError::UnknownKey(unknown()))
    }

    /// Joins payload and signatures into a whole envelope.
    pub fn envelope(&self, payload: &[u8]) -> Envelope {
        Envelope { payload: STANDARD.encode(payload), signatures: self.clone() }
    }

    /// Returns the JSON that is stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("because the type has string keys only")
    }

    /// Reads what [`Signatures::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// The JSON error when the bytes have another form.
    pub fn from_json(bytes: &[u8]) -> Result<Signatures, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed([seed; 32])
    }

    #[test]
    fn the_encoding_is_the_one_of_the_specification() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_signed_payload_verifies_and_names_its_key() {
        let signatures = Signatures::sign("text/plain", b"payload", &key(1));
        let read = Signatures::from_json(&signatures.to_json()).unwrap();
        let signer = read.verify("text/plain", b"payload", &[key(1).public()]);
        assert_eq!(signer, Ok(key(1).public().id()));
    }

    #[test]
    fn every_change_is_found() {
        let signatures = Signatures::sign("text/plain", b"payload", &key(1));
        let id = key(1).public().id();
        let trusted = [key(1).public()];
        let verify = |signatures: &Signatures, kind, payload: &[u8]| {
            signatures.verify(kind, payload, &trusted).unwrap_err()
        };
        assert_eq!(verify(&signatures, "text/plain", b"Payload"), VerifyError::BadSignature(id));
        assert!(matches!(
            verify(&signatures, "text/html", b"payload"),
            VerifyError::PayloadType { .. }
        ));
        let mut broken = signatures.clone();
        broken.signatures[0].sig = "%%%".to_owned();
        assert_eq!(verify(&broken, "text/plain", b"payload"), VerifyError::BadSignature(id));
        let mut empty = signatures.clone();
        empty.signatures.clear();
        assert_eq!(verify(&empty, "text/plain", b"payload"), VerifyError::UnknownKey(vec![]));
        let foreign = Signatures::sign("text/plain", b"payload", &key(2));
        let foreign_id = key(2).public().id();
        assert_eq!(
            verify(&foreign, "text/plain", b"payload"),
            VerifyError::UnknownKey(vec![foreign_id])
        );
    }
}
