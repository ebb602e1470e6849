//! How programs write a value: eight encodings, some with variants.
//!
//! As it is; base64 and base64url in each of the three alignments that a value can have inside a longer text; hexadecimal in
//! small letters and in capitals; percent-encoding; JSON strings; UTF-16.

use zeroize::Zeroizing;

/// Bytes of the shortest pattern.
const PATTERN_BYTES_MIN: usize = 6;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Calls `visit` with each distinct way to write `value`, and with how many characters before and after share bits with it.
pub(super) fn each(value: &[u8], visit: &mut dyn FnMut(Zeroizing<Vec<u8>>, (u8, u8))) {
    let mut seen: Vec<Zeroizing<Vec<u8>>> = vec![];
    let mut add = |bytes: Vec<u8>, shares: (u8, u8)| {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() >= PATTERN_BYTES_MIN && !seen.contains(&bytes) {
            seen.push(bytes.clone());
            visit(bytes, shares);
        }
    };
    add(value.to_vec(), (0, 0));
    for offset in 0..3 {
        let (inner, shares) = base64(value, offset);
        let swap = |byte: &u8| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        };
        add(inner.iter().map(swap).collect(), shares);
        add(inner, shares);
    }
    add(hex(value, b"0123456789abcdef"), (0, 0));
    add(hex(value, b"0123456789ABCDEF"), (0, 0));
    for (digits, blank) in [
        (b"0123456789ABCDEF", None),
        (b"0123456789abcdef", None),
        (b"0123456789ABCDEF", Some(b'+')),
    ] {
        add(percent(value, digits, blank), (0, 0));
    }
    if let Ok(text) = std::str::from_utf8(value) {
        for is_escaped in
            [|_: char| false, |c| c == '/', |c| "<>&".contains(c), |c: char| !c.is_ascii()]
        {
            add(json(text, is_escaped), (0, 0));
        }
        add(text.encode_utf16().flat_map(u16::to_le_bytes).collect(), (0, 0));
        add(text.encode_utf16().flat_map(u16::to_be_bytes).collect(), (0, 0));
    }
}

pub(super) fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)
}

/// The characters that hold nothing but bits of `value`, when `offset` bytes stand before it (RFC 4648 §4).
fn base64(value: &[u8], offset: usize) -> (Vec<u8>, (u8, u8)) {
    let n_bits = value.len() * 8;
    // The first character that begins with a bit of the value.
    let first = (6 - offset * 8 % 6) % 6;
    let n_chars = (n_bits - first) / 6;
    let bit = |at: usize| usize::from(value[at / 8] >> (7 - at % 8) & 1);
    let sextet = |idx: usize| (0..6).fold(0, |bits, n| bits << 1 | bit(first + idx * 6 + n));
    let inner = (0..n_chars).map(|idx| LETTERS[sextet(idx)]).collect();
    (inner, (u8::from(first > 0), u8::from(!(n_bits - first).is_multiple_of(6))))
}

fn hex(value: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let pair = |byte: &u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
    value.iter().flat_map(pair).collect()
}

/// Percent-encoding of all but the unreserved characters (RFC 3986 §2.3); forms write a blank as `+`.
fn percent(value: &[u8], digits: &[u8; 16], blank: Option<u8>) -> Vec<u8> {
    let mut made = Vec::with_capacity(value.len() * 3);
    for byte in value {
        match (byte, blank) {
            (b' ', Some(blank)) => made.push(blank),
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => made.push(*byte),
            _ => {
                made.push(b'%');
                made.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
            }
        }
    }
    made
}

/// The inside of a JSON string (RFC 8259 §7), where `is_escaped` says which characters are written as escapes besides.
fn json(text: &str, is_escaped: fn(char) -> bool) -> Vec<u8> {
    let mut made = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match c {
            '"' => made.push_str("\\\""),
            '\\' => made.push_str("\\\\"),
            '\n' => made.push_str("\\n"),
            '\r' => made.push_str("\\r"),
            '\t' => made.push_str("\\t"),
            '/' if is_escaped('/') => made.push_str("\\/"),
            c if is_escaped(c) || u32::from(c) < 0x20 => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    made.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => made.push(c),
        }
    }
    made.into_bytes()
}
