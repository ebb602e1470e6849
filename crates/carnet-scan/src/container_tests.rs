use proptest::prelude::*;

use super::*;
use crate::test_text as encode;

fn members(bytes: &[u8], inflate_left: usize) -> (Vec<Vec<u8>>, usize) {
    let mut budget = Budget::new(inflate_left);
    let mut members = Vec::new();
    if let Some(kind) = kind(bytes) {
        each_member(kind, bytes, &mut budget, &mut |member, _| members.push(member.to_vec()));
    }
    (members, inflate_left - budget.inflate_left)
}

const SAYS: &[u8] = b"what a member says, over and over, over and over";

#[test]
fn gzip_is_inflated_member_by_member() {
    assert_eq!(members(&encode::gzip(SAYS), 1 << 20).0, [SAYS]);
    let two = [encode::gzip(b"one "), encode::gzip(b"two")].concat();
    assert_eq!(members(&two, 1 << 20).0, [b"one two"]);
}
#[test]
fn zip_members_are_read_whatever_they_claim_and_are_called() {
    let named = [("../../etc/passwd", SAYS), ("a", b"b")];
    for claimed in [None, Some(0), Some(1), Some(u32::MAX)] {
        assert_eq!(members(&encode::zip(&named, claimed), 1 << 20).0, [SAYS, b"b"]);
    }
}
#[test]
fn tar_hands_on_the_containers_in_it() {
    let inner = encode::gzip(SAYS);
    let file = encode::tar(&[("/etc/shadow", b"plain"), ("../x.gz", &inner)]);
    assert_eq!(members(&file, 1 << 20).0, [inner]);
}
#[test]
fn a_bomb_takes_what_the_budget_has_and_no_more() {
    let bomb = encode::gzip(&vec![0; 10 << 20]);
    assert!(bomb.len() < 20_000);
    let (found, n_inflated) = members(&bomb, 100_000);
    assert_eq!((found[0].len(), n_inflated), (100_000, 100_000));
    let many = encode::zip(&[("a", &vec![0; 1 << 20][..]); 20], None);
    let (found, n_inflated) = members(&many, 3 << 20);
    assert_eq!((found.len(), n_inflated), (3, 3 << 20));
}
#[test]
fn what_is_cut_off_gives_what_it_has() {
    let says: Vec<u8> =
        (0..50_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for whole in [encode::gzip(&says), encode::zip(&[("a", &says)], None)] {
        let (found, _) = members(&whole[..whole.len() / 2], 1 << 20);
        assert!(found[0].len() > says.len() / 4 && says.starts_with(&found[0]));
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_the_budget_holds(
        which in 0_u8..3, cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        inflate_left in 0_usize..5_000
    ) {
        let gzip = encode::gzip(&SAYS.repeat(50));
        let mut bytes = match which {
            0 => gzip,
            1 => encode::zip(&[("a", &SAYS.repeat(30)), ("b", SAYS)], None),
            _ => encode::tar(&[("a", &gzip), ("b", SAYS)]),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let cut = cut.index(bytes.len() + 1);
        let (_, n_inflated) = members(&bytes[..cut], inflate_left);
        prop_assert!(n_inflated <= inflate_left);
    }
}
