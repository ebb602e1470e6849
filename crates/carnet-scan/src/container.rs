//! Archives and compressed streams: gzip, zip and tar, read from front to back in memory.
//!
//! Nothing is written anywhere and the names of members are not used, so a name that climbs out of its
//! directory does nothing. What is broken or cut off ends the reading; the bytes until then count. The sizes
//! an archive claims are never believed: output is taken until [`Budget`] is spent.

use std::{borrow::Cow, collections::BTreeSet};

use memchr::memmem;
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::{reading::Step, unread::Unread};

/// Members of one archive.
const MEMBERS_MAX: usize = 4096;
/// Bytes inflated at a time.
const CHUNK_BYTES: usize = 64 << 10;

const GZIP: &[u8] = b"\x1f\x8b\x08";
const ZIP: &[u8] = b"PK\x03\x04";

/// How many bytes may still be inflated for one content.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) inflate_left: usize,
    /// What was left unread, and why.
    pub(crate) unread: BTreeSet<Unread>,
}

impl Budget {
    pub(crate) fn new(inflate_left: usize) -> Budget {
        Budget { inflate_left, unread: BTreeSet::new() }
    }
}

/// Returns what kind of container `bytes` begin, if any. Tar takes 262 bytes to know.
pub(crate) fn kind(bytes: &[u8]) -> Option<Step> {
    match bytes {
        _ if bytes.starts_with(GZIP) => Some(Step::Gzip),
        _ if bytes.starts_with(ZIP) => Some(Step::Zip),
        _ if bytes.get(257..262) == Some(b"ustar") => Some(Step::Tar),
        _ => None,
    }
}

/// Hands the members of a container to `visit`, which may take from the budget too.
pub(crate) fn each_member(
    kind: Step,
    bytes: &[u8],
    budget: &mut Budget,
    visit: &mut dyn FnMut(&[u8], &mut Budget),
) {
    match kind {
        Step::Gzip => visit(&gunzip(bytes, budget), budget),
        Step::Zip => each_zip_member(bytes, budget, visit),
        Step::Tar => each_tar_member(bytes, budget, visit),
        _ => {}
    }
}

/// Inflates all members of a gzip stream (RFC 1952), one after the other.
fn gunzip(bytes: &[u8], budget: &mut Budget) -> Vec<u8> {
    let mut inflated = Vec::new();
    let mut rest = bytes;
    for member_idx in 0.. {
        if !rest.starts_with(GZIP) {
            break;
        }
        if member_idx == MEMBERS_MAX {
            budget.unread.insert(Unread::Members);
            break;
        }
        // 15 bits of window, and 16 for a gzip header.
        let (n_read, is_whole) = inflate(Inflate::new(true, 15 + 16), rest, &mut inflated, budget);
        if !is_whole {
            break;
        }
        rest = &rest[n_read..];
    }
    inflated
}

/// Appends what `bytes` inflate to; returns how many were read and whether the stream came to its end.
fn inflate(
    mut stream: Inflate,
    bytes: &[u8],
    inflated: &mut Vec<u8>,
    budget: &mut Budget,
) -> (usize, bool) {
    let mut n_read = 0;
    while budget.inflate_left > 0 {
        let len = inflated.len();
        inflated.resize(len + CHUNK_BYTES.min(budget.inflate_left), 0);
        let (read_before, written_before) = (stream.total_in(), stream.total_out());
        let status =
            stream.decompress(&bytes[n_read..], &mut inflated[len..], InflateFlush::NoFlush);
        let n_written = (stream.total_out() - written_before) as usize;
        let n_new = (stream.total_in() - read_before) as usize;
        inflated.truncate(len + n_written);
        budget.inflate_left -= n_written;
        n_read += n_new;
        match status {
            Ok(Status::StreamEnd) => return (n_read, true),
            Ok(_) if n_new + n_written > 0 => {}
            _ => return (n_read, false),
        }
    }
    budget.unread.insert(Unread::Inflated);
    (n_read, false)
}

/// Reads a zip file by its local headers (APPNOTE 4.3.7), so that a file cut short gives what it has.
fn each_zip_member(bytes: &[u8], budget: &mut Budget, visit: &mut dyn FnMut(&[u8], &mut Budget)) {
    let mut at = 0;
    for member_idx in 0.. {
        let Some(found) = memmem::find(&bytes[at..], ZIP) else { return };
        if budget.inflate_left == 0 {
            budget.unread.insert(Unread::Inflated);
            return;
        }
        if member_idx == MEMBERS_MAX {
            budget.unread.insert(Unread::Members);
            return;
        }
        at += found;
        let Some(header) = bytes.get(at..at + 30) else { return };
        let u16_at = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let (flags, method) = (u16_at(6), u16_at(8));
        let data_at = (at + 30 + u16_at(26) + u16_at(28)).min(bytes.len());
        let (data, is_encrypted) = (&bytes[data_at..], flags & 1 != 0);
        let claimed = u16_at(18) | u16_at(20) << 16;
        at = data_at;
        match method {
            0 if !is_encrypted => {
                let stored = &data[..claimed.min(data.len())];
                visit(stored, budget);
                at += stored.len();
            }
            8 if !is_encrypted => {
                let mut inflated = Vec::new();
                let stream = Inflate::new(false, 15);
                let (n_read, _) = inflate(stream, data, &mut inflated, budget);
                visit(&inflated, budget);
                at += n_read;
            }
            _ => {
                // A directory has no bytes, however it is packed.
                if claimed > 0 || flags & SIZES_FOLLOW != 0 {
                    budget.unread.insert(Unread::Packed);
                }
            }
        }
    }
}

/// Flag of a member whose sizes stand behind its data (APPNOTE 4.4.4, bit 3).
const SIZES_FOLLOW: usize = 8;

/// Reads the members of a tar file (POSIX.1-2001 pax, ustar).
///
/// Their bytes stand in the file as they are, so only members that are containers themselves are handed on.
fn each_tar_member(bytes: &[u8], budget: &mut Budget, visit: &mut dyn FnMut(&[u8], &mut Budget)) {
    const BLOCK: usize = 512;
    let mut at = 0;
    for member_idx in 0.. {
        let Some(header) = bytes.get(at..at + BLOCK) else { return };
        if member_idx == MEMBERS_MAX {
            budget.unread.insert(Unread::Members);
            return;
        }
        let Some(size) = octal(&header[124..136]) else { return };
        let data_at = at + BLOCK;
        let data_end = data_at.saturating_add(size).min(bytes.len());
        let data = &bytes[data_at..data_end];
        if kind(data).is_some() {
            visit(data, budget);
        }
        at = data_at.saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
    }
}

/// Reads an octal number that ends with a blank or a zero; `None` when it is none.
fn octal(field: &[u8]) -> Option<usize> {
    let digits: Cow<'_, str> = String::from_utf8_lossy(field);
    let digits = digits.trim_matches([' ', '\0']);
    usize::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
