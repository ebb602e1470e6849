//! Bytes in, findings out: secrets, licences, personal data, redaction.
#![warn(missing_docs)]
