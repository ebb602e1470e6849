//! Between the house's nouns and gix's.

use carnet_core::{GitOid, ObjectFormat};

use crate::Cause;

/// Wraps gix's object id.
pub(crate) fn from_gix(id: &gix::oid) -> GitOid {
    GitOid::from_bytes(id.as_bytes()).expect("because gix knows only 20 and 32 byte ids")
}

/// Unwraps to gix's object id.
pub(crate) fn to_gix(id: &GitOid) -> gix::ObjectId {
    gix::ObjectId::from_bytes_or_panic(id.as_bytes())
}

/// Names the hash.
pub(crate) fn format_of(kind: gix::hash::Kind) -> ObjectFormat {
    if kind == gix::hash::Kind::Sha256 { ObjectFormat::Sha256 } else { ObjectFormat::Sha1 }
}

/// Keeps a gix error as a cause.
pub(crate) fn cause(err: gix::Error) -> Cause {
    Box::new(err)
}
