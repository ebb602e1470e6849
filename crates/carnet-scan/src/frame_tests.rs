use proptest::prelude::*;

use super::*;

const SMALL: Layout = Layout { first_of_container: 40, core: 10, reach: 4, whole: 0 };

/// Frames of a text, as offset, length and core.
fn frames(text: &[u8]) -> Vec<(usize, usize, Range<usize>, bool)> {
    let mut framer = Framer::new(SMALL);
    let mut frames = Vec::new();
    while let Some(frame) = framer.next(text, 0, true) {
        frames.push((frame.offset, frame.bytes.len(), frame.core, frame.is_last));
    }
    frames
}

#[test]
fn cores_lie_side_by_side_and_cover_the_text() {
    assert_eq!(frames(b""), [(0, 0, 0..0, true)]);
    assert_eq!(frames(&[b'x'; 10]), [(0, 10, 0..10, true)]);
    assert_eq!(frames(&[b'x'; 13]), [(0, 13, 0..10, true), (6, 7, 4..7, true)]);
    let three = [(0, 14, 0..10, false), (6, 18, 4..14, false), (16, 9, 4..9, true)];
    assert_eq!(frames(&[b'x'; 25]), three);
}

#[test]
fn a_container_has_a_longer_first_core() {
    let text = [&b"PK\x03\x04"[..], &[0; 60]].concat();
    assert_eq!(frames(&text)[0], (0, 44, 0..40, false));
    assert_eq!(frames(&text)[1], (36, 18, 4..14, false));
}

#[test]
fn regions_of_a_frame_become_regions_of_the_text() {
    let text = b"ab\ncde\nfg";
    let whole = carnet_core::LineIndex::new(text);
    for cut in 0..text.len() {
        let mut base = LineBase::default();
        base.pass(&text[..cut / 2]);
        base.pass(&text[cut / 2..cut]);
        let part = carnet_core::LineIndex::new(&text[cut..]);
        for end in cut..=text.len() {
            assert_eq!(base.region(part.region(0, end - cut)), whole.region(cut, end));
        }
    }
}

proptest! {
    #[test]
    fn chunks_make_the_frames_of_the_whole(
        text in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'\n')], 0..700),
        is_container in any::<bool>(),
        cuts in prop::collection::vec(0_usize..60, 0..40)
    ) {
        let mut text = text;
        if is_container {
            text.splice(0..0, *b"PK\x03\x04");
        }
        let mut window = Window::new(SMALL);
        let mut got = Vec::new();
        let mut rest = &text[..];
        for cut in cuts {
            let (chunk, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            take_all(&mut window, chunk, &mut got);
        }
        take_all(&mut window, rest, &mut got);
        while let Some(frame) = window.next(true) {
            got.push((frame.offset, frame.bytes.to_vec(), frame.core.clone()));
        }
        let mut framer = Framer::new(SMALL);
        let mut expect = Vec::new();
        while let Some(frame) = framer.next(&text, 0, true) {
            expect.push((frame.offset, frame.bytes.to_vec(), frame.core.clone()));
        }
        prop_assert_eq!(got, expect);
    }
}

fn take_all(window: &mut Window, chunk: &[u8], got: &mut Vec<(usize, Vec<u8>, Range<usize>)>) {
    let mut rest = chunk;
    while !rest.is_empty() {
        rest = window.take(rest);
        while let Some(frame) = window.next(false) {
            got.push((frame.offset, frame.bytes.to_vec(), frame.core.clone()));
        }
    }
}
