//! How facts lie in their store: packed together in frames, which follow each other in one stream, which is cut into pieces
//! that fill whole runs of the store's pages.
//!
//! A value of its own for each fact would leave a quarter of the pages empty, and a frame alone is packed a tenth smaller
//! than its facts one by one.

use carnet_core::Digest;

/// A frame ends when it holds so many bytes unpacked.
const FRAME_BYTES: usize = 512 << 10;
/// Most bytes that one frame may have unpacked: one fact is never cut.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// How hard frames are packed: more takes longer than it saves.
const PACKING: i32 = 6;
/// Bytes of the digest before a frame: enough against damage, which is all it guards against.
const CHECK_BYTES: usize = 16;
/// Most and fewest pages of one piece, and the bytes of a page; what the store adds to a piece, rounded up.
const PIECE_PAGES_MAX: usize = 16;
const PAGE_BYTES: usize = 4096;
const PIECE_MARGIN: usize = 32;

/// Where a fact lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where its frame begins in the stream, and how many bytes that has.
    pub frame: u64,
    pub n_frame: u32,
    /// Where it lies in the unpacked frame.
    pub start: u32,
    pub n_bytes: u32,
}

impl Place {
    pub fn encode(self) -> [u8; 20] {
        let mut out = [0; 20];
        out[..8].copy_from_slice(&self.frame.to_le_bytes());
        for (at, number) in [(8, self.n_frame), (12, self.start), (16, self.n_bytes)] {
            out[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Place> {
        let mut input = crate::format::Input(bytes);
        let place = Place {
            frame: input.u64()?,
            n_frame: input.u32()?,
            start: input.u32()?,
            n_bytes: input.u32()?,
        };
        input.0.is_empty().then_some(place)
    }
}

/// Packs facts into frames.
///
/// - `at`: where the stream ends so far.
///
/// Returns what is to be appended to the stream, and the place of each fact.
pub(crate) fn pack(facts: &[&[u8]], at: u64) -> std::io::Result<(Vec<u8>, Vec<Place>)> {
    let (mut stream, mut places, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for (idx, fact) in facts.iter().enumerate() {
        let (start, n_bytes) = (plain.len() as u32, fact.len() as u32);
        places.push(Place { frame: at + stream.len() as u64, n_frame: 0, start, n_bytes });
        plain.extend_from_slice(fact);
        if plain.len() >= FRAME_BYTES || idx + 1 == facts.len() {
            let begin = stream.len();
            stream.extend(frame(&plain)?);
            let n_frame = (stream.len() - begin) as u32;
            places[first..].iter_mut().for_each(|place| place.n_frame = n_frame);
            first = places.len();
            plain.clear();
        }
    }
    Ok((stream, places))
}

/// Packs some bytes by themselves: check, length, packed bytes.
pub(crate) fn frame(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut payload = (plain.len() as u32).to_le_bytes().to_vec();
    payload.extend(zstd::bulk::compress(plain, PACKING)?);
    let mut frame = Digest::of(&payload).as_bytes()[..CHECK_BYTES].to_vec();
    frame.extend(payload);
    Ok(frame)
}

/// Returns what a frame holds; `None` when it does not have its check or cannot be unpacked.
pub(crate) fn unframed(frame: &[u8]) -> Option<Vec<u8>> {
    let (check, payload) = frame.split_at_checked(CHECK_BYTES)?;
    if Digest::of(payload).as_bytes()[..CHECK_BYTES] != *check {
        return None;
    }
    let (n_bytes, packed) = payload.split_first_chunk::<4>()?;
    let n_bytes = u32::from_le_bytes(*n_bytes) as usize;
    if n_bytes > FRAME_BYTES_MAX {
        return None;
    }
    zstd::bulk::decompress(packed, n_bytes).ok().filter(|plain| plain.len() == n_bytes)
}

/// Cuts an end of the stream into pieces: each fills a number of pages that is a power of two, but for the last.
pub(crate) fn pieces(mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut n_bytes = stream.len();
        let mut n_pages = PIECE_PAGES_MAX;
        while n_pages > 0 {
            let filled = n_pages * PAGE_BYTES - PIECE_MARGIN;
            if filled <= stream.len() {
                n_bytes = filled;
                break;
            }
            n_pages /= 2;
        }
        let (piece, rest) = stream.split_at(n_bytes);
        stream = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_their_frames() {
        let facts: Vec<Vec<u8>> = (0..400_u32).map(|n| vec![n as u8; n as usize * 20]).collect();
        let facts: Vec<&[u8]> = facts.iter().map(Vec::as_slice).collect();
        let (stream, places) = pack(&facts, 1000).unwrap();
        assert!(places.last().unwrap().frame > 1000, "there are several frames");
        for (fact, place) in facts.iter().zip(&places) {
            assert_eq!(Place::decode(&place.encode()), Some(*place));
            let begin = (place.frame - 1000) as usize;
            let plain = unframed(&stream[begin..begin + place.n_frame as usize]).unwrap();
            let start = place.start as usize;
            assert_eq!(&plain[start..start + place.n_bytes as usize], *fact);
        }
    }

    #[test]
    fn a_frame_that_changed_is_none() {
        let whole = frame(b"some facts").unwrap();
        assert_eq!(unframed(&whole).unwrap(), b"some facts");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            assert_eq!(unframed(&damaged), None, "byte {at}");
            assert_eq!(unframed(&whole[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn pieces_fill_their_pages_and_give_the_stream() {
        for n_bytes in [0, 1, 4063, 4064, 5000, 50_000, 65_504, 1_000_000] {
            let stream: Vec<u8> = (0..n_bytes).map(|n| n as u8).collect();
            let cut: Vec<&[u8]> = pieces(&stream).collect();
            assert_eq!(cut.concat(), stream);
            let n_pages = |piece: &&[u8]| {
                (piece.len() + PIECE_MARGIN).div_ceil(PAGE_BYTES).next_power_of_two()
            };
            let n_used: usize = cut.iter().map(n_pages).sum();
            assert!(n_used * PAGE_BYTES <= n_bytes + cut.len() * PIECE_MARGIN + 2 * PAGE_BYTES);
        }
    }
}
