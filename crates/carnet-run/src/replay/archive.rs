//! Archives read for comparison: gzip, zip, tar, ar and Python byte code become members without times and owners.
//!
//! No IO. Foreign bytes: every size is checked against what is there, what inflates is bounded by [`Budget`], and a
//! container with anything unexpected is none, so that it is compared as the bytes it is. Nothing is passed over that
//! is not a time, an owner or an order: names, modes, links and contents stay.

use zlib_rs::{Inflate, InflateFlush, Status};

/// Members of one archive at most.
const MEMBERS_MAX: usize = 65_536;
/// Bytes inflated at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// How much of one output may still be inflated, and how deep containers may still stand in one another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Bytes.
    pub bytes: usize,
    /// Levels.
    pub depth: usize,
}

impl Budget {
    /// What one output may take.
    pub(super) const OUTPUT: Budget = Budget { bytes: 512 << 20, depth: 4 };
}

/// One member of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    /// Its name in the container; empty for the one of gzip and of byte code.
    pub name: Vec<u8>,
    /// All that is said of it and is neither time nor owner: kind, mode, link target, method.
    pub facts: Vec<u8>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Reads a container; `None` when the bytes are none, or one that is not wholly understood.
pub(super) fn members(bytes: &[u8], budget: &mut Budget) -> Option<Vec<Member>> {
    if budget.depth == 0 {
        return None;
    }
    if bytes.starts_with(b"\x1f\x8b\x08") {
        return gzip(bytes, budget);
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return zip(bytes, budget);
    }
    if bytes.starts_with(b"!<arch>\n") {
        return ar(bytes);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return tar(bytes);
    }
    python_byte_code(bytes)
}

/// RFC 1952: streams one after the other; the first header's name stays, its time and system do not.
fn gzip(bytes: &[u8], budget: &mut Budget) -> Option<Vec<Member>> {
    const HAS_EXTRA: u8 = 4;
    const HAS_NAME: u8 = 8;
    let flags = *bytes.get(3)?;
    if flags & HAS_EXTRA != 0 {
        return None;
    }
    let name = if flags & HAS_NAME == 0 { vec![] } else { field(bytes.get(10..)?).to_vec() };
    let mut rest = bytes;
    let mut inflated = vec![];
    while !rest.is_empty() {
        let n_read = inflate(Inflate::new(true, 15 + 16), rest, &mut inflated, budget)?;
        rest = &rest[n_read..];
    }
    Some(vec![Member { name, facts: b"gzip".to_vec(), bytes: inflated }])
}

/// Appends what a whole stream inflates to; returns how many bytes it took, `None` when it is broken or too large.
fn inflate(
    mut stream: Inflate,
    bytes: &[u8],
    inflated: &mut Vec<u8>,
    budget: &mut Budget,
) -> Option<usize> {
    let mut n_read = 0;
    loop {
        let len = inflated.len();
        inflated.resize(len + CHUNK_BYTES.min(budget.bytes), 0);
        let (read_before, written_before) = (stream.total_in(), stream.total_out());
        let status =
            stream.decompress(&bytes[n_read..], &mut inflated[len..], InflateFlush::NoFlush);
        let n_written = (stream.total_out() - written_before) as usize;
        let n_new = (stream.total_in() - read_before) as usize;
        inflated.truncate(len + n_written);
        budget.bytes -= n_written;
        n_read += n_new;
        match status {
            Ok(Status::StreamEnd) => return Some(n_read),
            Ok(_) if n_new + n_written > 0 => {}
            _ => return None,
        }
    }
}

/// APPNOTE 4.3: the central directory says what there is.
fn zip(bytes: &[u8], budget: &mut Budget) -> Option<Vec<Member>> {
    const END: &[u8] = b"PK\x05\x06";
    const HAS_DESCRIPTOR: u16 = 8;
    let last = bytes.len().checked_sub(22)?;
    let earliest = last.saturating_sub(usize::from(u16::MAX));
    let end_at = (earliest..=last).rev().find(|at| bytes[*at..].starts_with(END))?;
    let n_members = usize::from(u16_at(bytes, end_at + 10)?);
    let directory_at = u32_at(bytes, end_at + 16)?;
    let (mut at, mut members, mut spans) = (directory_at, vec![], vec![]);
    for _ in 0..n_members {
        if !bytes.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
        let (packed, unpacked) = (u32_at(bytes, at + 20)?, u32_at(bytes, at + 24)?);
        let lengths = [at + 28, at + 30, at + 32].map(|at| u16_at(bytes, at).map(usize::from));
        let [name_len, extra_len, comment_len] = [lengths[0]?, lengths[1]?, lengths[2]?];
        let name = bytes.get(at + 46..at + 46 + name_len)?.to_vec();
        let extra = extra_without_times(bytes.get(at + 46 + name_len..)?.get(..extra_len)?)?;
        let comment_at = at + 46 + name_len + extra_len;
        let comment = bytes.get(comment_at..comment_at + comment_len)?;
        let attributes = bytes.get(at + 36..at + 42)?;
        let local = u32_at(bytes, at + 42)?;
        if flags & 1 != 0 || !bytes.get(local..)?.starts_with(b"PK\x03\x04") {
            return None;
        }
        let local_name_len = usize::from(u16_at(bytes, local + 26)?);
        let local_extra_len = usize::from(u16_at(bytes, local + 28)?);
        if bytes.get(local + 30..local + 30 + local_name_len)? != name {
            return None;
        }
        let data_at = local + 30 + local_name_len + local_extra_len;
        let local_extra = extra_without_times(bytes.get(data_at - local_extra_len..data_at)?)?;
        let data = bytes.get(data_at..data_at.checked_add(packed)?)?;
        spans.push((local, data_at + packed, flags & HAS_DESCRIPTOR != 0));
        let content = match method {
            0 => data.to_vec(),
            8 => {
                let mut inflated = vec![];
                let n_read = inflate(Inflate::new(false, 15), data, &mut inflated, budget)?;
                if n_read != packed || inflated.len() != unpacked {
                    return None;
                }
                inflated
            }
            _ => return None,
        };
        let facts = [b"zip ".as_slice(), &method.to_le_bytes(), attributes, &extra, &local_extra];
        members.push(Member { name, facts: [&facts.concat(), comment].concat(), bytes: content });
        at = comment_at + comment_len;
    }
    let comment_len = usize::from(u16_at(bytes, end_at + 20)?);
    let is_whole = at == end_at && end_at + 22 + comment_len == bytes.len();
    (is_whole && covers(spans, directory_at)).then_some(members)
}

/// Tells whether members and their descriptors fill the file up to the directory: nothing hides between them.
fn covers(mut spans: Vec<(usize, usize, bool)>, directory_at: usize) -> bool {
    spans.sort_unstable();
    let (mut at, mut slack): (usize, &[usize]) = (0, &[0]);
    for (start, end, has_descriptor) in
        spans.into_iter().chain([(directory_at, directory_at, false)])
    {
        if !slack.iter().any(|slack| at + slack == start) {
            return false;
        }
        (at, slack) = (end, if has_descriptor { &[12, 16][..] } else { &[0] });
    }
    true
}

/// Keeps the extra fields (tag, length, bytes) that hold no time and no owner.
fn extra_without_times(mut extra: &[u8]) -> Option<Vec<u8>> {
    // UT, UX, Ux, ux, NTFS: APPNOTE 4.6.1 and Info-ZIP's own.
    const PASSED_OVER: [u16; 5] = [0x5455, 0x5855, 0x7855, 0x7875, 0x000a];
    let mut kept = vec![];
    while !extra.is_empty() {
        let (tag, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(..4 + len)?;
        if !PASSED_OVER.contains(&tag) {
            kept.extend_from_slice(field);
        }
        extra = &extra[4 + len..];
    }
    Some(kept)
}

/// POSIX.1-2001 ustar and pax, GNU's long names. Times and owners are left out, wherever they stand, and how many empty
/// blocks end the file.
fn tar(bytes: &[u8]) -> Option<Vec<Member>> {
    const BLOCK: usize = 512;
    let (mut at, mut members, mut before) = (0, vec![], vec![]);
    loop {
        let header = bytes.get(at..at + BLOCK)?;
        if header.iter().all(|byte| *byte == 0) {
            // Only the padding of the last record may follow, in whole blocks.
            let padding = &bytes[at..];
            let is_end =
                padding.len().is_multiple_of(BLOCK) && padding.iter().all(|byte| *byte == 0);
            return is_end.then_some(members);
        }
        let size = octal(&header[124..136])?;
        let data_at = at + BLOCK;
        let data = bytes.get(data_at..data_at.checked_add(size)?)?;
        let kind = header[156];
        match kind {
            b'x' | b'g' => before.extend(pax_without_times(data)?),
            b'L' | b'K' => before.extend([&[kind], data].concat()),
            _ => {
                let name = [field(&header[345..500]), field(&header[..100])]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join(&b'/');
                let facts = [
                    b"tar ".as_slice(),
                    &[kind],
                    field(&header[100..108]),
                    b" ",
                    field(&header[157..257]),
                    b" ",
                    &header[329..345],
                    &std::mem::take(&mut before),
                ];
                members.push(Member { name, facts: facts.concat(), bytes: data.to_vec() });
            }
        }
        if members.len() > MEMBERS_MAX {
            return None;
        }
        let next = data_at.checked_add(size.div_ceil(BLOCK).checked_mul(BLOCK)?)?;
        if bytes.get(data_at + size..next)?.iter().any(|byte| *byte != 0) {
            return None;
        }
        at = next;
    }
}

/// Keeps the records `LENGTH KEY=VALUE\n` whose key is no time and no owner.
fn pax_without_times(mut data: &[u8]) -> Option<Vec<u8>> {
    const PASSED_OVER: [&[u8]; 7] =
        [b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname"];
    let mut kept = vec![];
    while !data.is_empty() {
        let space = data.iter().position(|byte| *byte == b' ')?;
        let len: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let record = data.get(space + 1..len)?;
        let key = record.split(|byte| *byte == b'=').next()?;
        if !PASSED_OVER.contains(&key) {
            kept.extend_from_slice(record);
        }
        data = &data[len..];
    }
    Some(kept)
}

/// The common archive format of System V and GNU.
fn ar(bytes: &[u8]) -> Option<Vec<Member>> {
    let (mut at, mut members) = (8, vec![]);
    while at < bytes.len() {
        let header = bytes.get(at..at + 60)?;
        if &header[58..] != b"`\n" || members.len() == MEMBERS_MAX {
            return None;
        }
        let size = std::str::from_utf8(&header[48..58]).ok()?.trim_end().parse().ok()?;
        let data = bytes.get(at + 60..(at + 60_usize).checked_add(size)?)?;
        let facts = [b"ar ".as_slice(), &header[40..48]].concat();
        members.push(Member { name: header[..16].to_vec(), facts, bytes: data.to_vec() });
        at += 60 + size + size % 2;
    }
    Some(members)
}

/// PEP 552: magic, flags, then time and size of the source where the flags are zero. The magic ends with CR LF.
fn python_byte_code(bytes: &[u8]) -> Option<Vec<Member>> {
    let header = bytes.get(..16)?;
    // The marshalled code object that follows begins with `c`, flagged for reference or not.
    let is_code = matches!(bytes.get(16), Some(0x63 | 0xe3));
    if &header[2..4] != b"\r\n" || header[4..8] != [0; 4] || !is_code {
        return None;
    }
    let facts = [b"pyc ".as_slice(), &header[..4], &header[12..16]].concat();
    Some(vec![Member { name: vec![], facts, bytes: bytes[16..].to_vec() }])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let value = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    usize::try_from(value).ok()
}

/// A field up to its first zero.
fn field(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn octal(bytes: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(field(bytes)).ok()?.trim_matches(' ');
    usize::from_str_radix(digits, 8).ok()
}
