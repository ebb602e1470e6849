//! The stored forms of this room that may come from elsewhere, read from the same bytes: what a fuzz target and its bounded twin share.

use crate::{
    Pointer,
    notes::lines_of_both,
    store::{ContentList, seal, sealed_around, unseal},
};

/// Most that a sealed object is unpacked to here, in bytes.
const UNSEALED_BYTES_MAX: usize = 1 << 20;

/// Has every reader look at `bytes`.
///
/// # Panics
///
/// When a reader does, or when what it read is another thing after it was written and read again.
pub fn read_them_all(bytes: &[u8]) {
    if let Some(pointer) = Pointer::parse(bytes) {
        assert_eq!(pointer.to_text().as_bytes(), bytes);
    }
    let digest = carnet_core::Digest::of(bytes);
    if let Some(list) = ContentList::parse(digest, bytes) {
        assert_eq!(ContentList::parse(digest, list.to_text().as_bytes()), Some(list));
    }
    drop(unseal(bytes, UNSEALED_BYTES_MAX));
    // No one draws bytes with a digest that fits: what a forger could seal is tried in every form, and in one there is not.
    for form in 0..=2 {
        let Ok(opened) = unseal(&sealed_around(form, bytes), UNSEALED_BYTES_MAX) else { continue };
        assert!(opened.len() <= UNSEALED_BYTES_MAX);
        assert_eq!(unseal(&seal(&opened, true), opened.len()).as_ref(), Ok(&opened));
    }
    if let Some(note) = lines_of_both(b"", bytes) {
        assert!(note.len() <= bytes.len() + 1);
        assert_eq!(lines_of_both(&note, bytes), None);
    }
}

#[cfg(test)]
mod tests {
    use carnet_core::Digest;
    use proptest::prelude::*;

    use super::*;

    fn sound() -> [Vec<u8>; 3] {
        let digest = Digest::of(b"chunk");
        let list = format!("carnet/content/1\nsize 12\n{digest} 5\n{digest} 7\n");
        assert!(ContentList::parse(digest, list.as_bytes()).is_some());
        let packed = zstd::bulk::compress(&[7; 4096], 3).unwrap();
        let opened = unseal(&sealed_around(1, &packed), UNSEALED_BYTES_MAX);
        assert_eq!(opened.as_deref(), Ok(&[7; 4096][..]));
        [list.into_bytes(), packed, b"a\nb\n".to_vec()]
    }

    proptest! {
        #[test]
        fn damaged_forms_never_stop_a_reader(
            form in 0..3_usize,
            from in any::<prop::sample::Index>(),
            n_bytes in 0..40_usize,
            put in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[0-9]{1,24}|\n{1,3}| |-1".prop_map(String::into_bytes),
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
