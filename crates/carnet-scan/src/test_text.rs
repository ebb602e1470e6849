//! Texts for tests: tokens put together at run time, and the encodings they hide in.

use zlib_rs::{Deflate, DeflateFlush};

use crate::{redact::Redactor, rule_set::RuleSet};

/// A token that no scanner sees in this file.
pub(crate) fn token() -> String {
    ["gh", "p_", "a1B2c3D4e5F6g7H8i9", "J0k1L2m3N4o5P6q7R8"].concat()
}

/// What the built-in rules leave of a text, and how many places they replaced.
pub(crate) fn redacted(text: &[u8]) -> (Vec<u8>, usize) {
    let (left, replaced) = Redactor::new(RuleSet::built_in()).redact(text);
    (left, replaced.n())
}

pub(crate) fn aws() -> String {
    ["AK", "IA", "Q3EGTZ7M", "2LWX5KPD"].concat()
}

pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    in_base64(bytes, b"+/")
}

pub(crate) fn base64url(bytes: &[u8]) -> Vec<u8> {
    in_base64(bytes, b"-_")
}

fn in_base64(bytes: &[u8], last: &[u8; 2]) -> Vec<u8> {
    let letters =
        [&b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[..], last].concat();
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for idx in 0..4 {
            let letter = letters[(bits >> (18 - 6 * idx) & 63) as usize];
            out.push(if idx as usize > chunk.len() { b'=' } else { letter });
        }
    }
    out
}

pub(crate) fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

pub(crate) fn percent(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect()
}

pub(crate) fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn utf16be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    deflated(bytes, true, 31)
}

fn deflated(bytes: &[u8], has_header: bool, window_bits: u8) -> Vec<u8> {
    let mut stream = Deflate::new(6, has_header, window_bits);
    let mut out = vec![0; bytes.len() + bytes.len() / 100 + 1024];
    stream.compress(bytes, &mut out, DeflateFlush::Finish).unwrap();
    out.truncate(stream.total_out() as usize);
    out
}

/// A zip file by local headers; `claimed` stands for the compressed size when given.
pub(crate) fn zip(members: &[(&str, &[u8])], claimed: Option<u32>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let data = deflated(bytes, false, 15);
        out.extend_from_slice(b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0");
        out.extend_from_slice(&claimed.unwrap_or(data.len() as u32).to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&data);
    }
    out
}

pub(crate) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[257..262].copy_from_slice(b"ustar");
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}
