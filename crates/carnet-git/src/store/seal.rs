//! The envelope of a stored object: `CNS1`, one byte that says how it is packed, the bytes, SHA-256 of all before.
//!
//! The digest at the end is over what is on the disk: a damage that decompression would forgive is seen too. No IO.

use carnet_core::Digest;

const MAGIC: &[u8; 4] = b"CNS1";
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const HEAD_BYTES: usize = MAGIC.len() + 1;
const TAIL_BYTES: usize = 32;
/// Packing has to save one byte in sixteen.
const PAYS_SIXTEENTHS: usize = 15;
const ZSTD_LEVEL: i32 = 3;

/// Seals bytes; they are compressed when that pays and `may_pack` allows it.
pub(crate) fn seal(bytes: &[u8], may_pack: bool) -> Vec<u8> {
    let packed = may_pack.then(|| zstd::bulk::compress(bytes, ZSTD_LEVEL).ok()).flatten();
    let packed = packed.filter(|packed| packed.len() <= bytes.len() / 16 * PAYS_SIXTEENTHS);
    let (form, body) = match &packed {
        Some(packed) => (ZSTD, packed.as_slice()),
        None => (PLAIN, bytes),
    };
    sealed_around(form, body)
}

/// The envelope around bytes that are packed already.
pub(crate) fn sealed_around(form: u8, body: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEAD_BYTES + body.len() + TAIL_BYTES);
    sealed.extend_from_slice(MAGIC);
    sealed.push(form);
    sealed.extend_from_slice(body);
    let digest = Digest::of(&sealed);
    sealed.extend_from_slice(digest.as_bytes());
    sealed
}

/// Opens what [`seal`] closed; `Err` says what is wrong with it.
///
/// - `bytes_max`: a content that unpacks to more is refused before it is unpacked.
pub(crate) fn unseal(sealed: &[u8], bytes_max: usize) -> Result<Vec<u8>, &'static str> {
    let body_end = sealed.len().checked_sub(TAIL_BYTES).ok_or("it is cut short")?;
    let (covered, tail) = sealed.split_at(body_end);
    let (head, body) = covered.split_at_checked(HEAD_BYTES).ok_or("it is cut short")?;
    if Digest::of(covered).as_bytes() != tail {
        return Err("its bytes are not those that were written");
    }
    if &head[..MAGIC.len()] != MAGIC {
        return Err("it is of a form that this version does not read");
    }
    match head[MAGIC.len()] {
        PLAIN if body.len() <= bytes_max => Ok(body.to_vec()),
        PLAIN => Err("it is too large"),
        ZSTD => zstd::bulk::decompress(body, bytes_max).map_err(|_| "it cannot be unpacked"),
        _ => Err("it is packed in a way that this version does not know"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_packs_well_is_packed_and_what_does_not_is_left() {
        let zeros = vec![0; 100_000];
        assert!(seal(&zeros, true).len() < 1_000);
        assert_eq!(seal(&zeros, false).len(), zeros.len() + HEAD_BYTES + TAIL_BYTES);
        assert_eq!(unseal(&seal(&zeros, true), zeros.len()), Ok(zeros.clone()));
        assert!(unseal(&seal(&zeros, true), zeros.len() - 1).is_err());
        assert!(unseal(&seal(&zeros, false), zeros.len() - 1).is_err());
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_seen() {
        for bytes in [vec![7; 300], (0..=255).collect(), vec![]] {
            let sealed = seal(&bytes, true);
            for at in 0..sealed.len() {
                for bit in 0..8 {
                    let mut damaged = sealed.clone();
                    damaged[at] ^= 1 << bit;
                    assert!(unseal(&damaged, 1 << 20).is_err(), "bit {bit} of byte {at}");
                }
                assert!(unseal(&sealed[..at], 1 << 20).is_err(), "cut at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn sealed_bytes_come_back(bytes: Vec<u8>, may_pack: bool) {
            prop_assert_eq!(unseal(&seal(&bytes, may_pack), bytes.len()), Ok(bytes));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            let _ = unseal(&bytes, 1 << 20);
        }
    }
}
