use carnet_core::OutputRule;
use proptest::prelude::*;

use super::*;

type Files = BTreeMap<String, (Vec<u8>, bool)>;

fn run(recorded: &Files, replayed: &Files, rules: &[&str]) -> Comparison {
    let rules: Vec<_> = rules.iter().map(|rule| OutputRule::parse(rule).unwrap()).collect();
    let classes = Classes::compile(&rules).unwrap();
    let digests = |files: &Files| {
        let file = |(path, (bytes, mode)): (&String, &(Vec<u8>, bool))| {
            (path.clone(), (Digest::of(bytes), *mode))
        };
        files.iter().map(file).collect()
    };
    fn read<'f>(files: &'f Files, path: &str) -> Result<Box<dyn Read + 'f>, String> {
        Ok(Box::new(files[path].0.as_slice()))
    }
    let then = |path: &str, _| read(recorded, path);
    let now = |path: &str, _| read(replayed, path);
    compare(
        &Side { files: digests(recorded), open: &then },
        &Side { files: digests(replayed), open: &now },
        &classes,
    )
}

fn one(bytes: &[u8]) -> Files {
    Files::from([("artifacts/a".to_owned(), (bytes.to_vec(), false))])
}

fn content(comparison: &Comparison) -> &ContentDifference {
    match &comparison.differences[0].how {
        How::Content(content) => content,
        other => panic!("{other:?}"),
    }
}

#[test]
fn equal_runs_have_no_differences() {
    assert_eq!(run(&one(b"x"), &one(b"x"), &[]), Comparison::default());
}

#[test]
fn a_file_that_is_missing_extra_or_of_another_mode_is_told() {
    let none = Files::new();
    let executable = Files::from([("artifacts/a".to_owned(), (b"x".to_vec(), true))]);
    assert_eq!(run(&one(b"x"), &none, &[]).differences[0].how, How::Missing);
    assert_eq!(run(&none, &one(b"x"), &[]).differences[0].how, How::Extra);
    assert!(matches!(run(&one(b"x"), &executable, &[]).differences[0].how, How::Other { .. }));
    // No class forgives an output that is not there.
    let nondeterministic = ["a=nondeterministic"];
    assert_eq!(run(&one(b"x"), &none, &nondeterministic).differences[0].how, How::Missing);
    assert_eq!(run(&none, &one(b"x"), &nondeterministic).differences[0].how, How::Extra);
    assert_eq!(run(&one(b"x"), &executable, &nondeterministic).differences.len(), 1);
}

#[test]
fn a_class_forgives_what_it_names_and_nothing_else() {
    let (then, now) = (one(b"built 2026-11-22T18:31:10Z\n"), one(b"built 2026-11-23T01:02:03Z\n"));
    assert_eq!(run(&then, &now, &[]).differences.len(), 1);
    let forgiven = run(&then, &now, &["a=normalised:dates"]);
    assert_eq!(forgiven.forgiven, [("artifacts/a".to_owned(), OutputClass::Normalised)]);
    assert!(forgiven.differences.is_empty());
    assert_eq!(run(&then, &now, &["b=normalised"]).differences.len(), 1);
    let other = one(b"built 2026-11-23T01:02:03Z by x\n");
    assert_eq!(run(&then, &other, &["a=normalised"]).differences.len(), 1);
    assert!(run(&then, &other, &["a=nondeterministic"]).differences.is_empty());
    let json = run(&one(b"{\"a\":1,\"b\":2}"), &one(b"{\"b\":2, \"a\":1}"), &["a=structural"]);
    assert!(json.differences.is_empty());
}

#[test]
fn bytes_that_are_gone_are_missed_only_where_they_are_needed() {
    let gone = |_: &str, _| Err("object 1234 is missing".to_owned());
    let here = |_: &str, _| Ok(Box::new(b"y".as_slice()) as Box<dyn Read>);
    let files =
        |bytes: &[u8]| BTreeMap::from([("artifacts/a".to_owned(), (Digest::of(bytes), false))]);
    let compared = |now: &[u8], rule: &str| {
        let classes = Classes::compile(&[OutputRule::parse(rule).unwrap()]).unwrap();
        compare(
            &Side { files: files(b"x"), open: &gone },
            &Side { files: files(now), open: &here },
            &classes,
        )
    };
    assert_eq!(compared(b"x", "a=exact"), Comparison::default());
    assert!(matches!(compared(b"y", "a=exact").differences[0].how, How::Unreadable { .. }));
    assert_eq!(compared(b"y", "a=normalised").incomparable.len(), 1);
    assert!(compared(b"y", "a=nondeterministic").incomparable.is_empty());
}

#[test]
fn a_place_is_told_by_line() {
    let compared = run(&one(b"one\ntwo\nthree\n"), &one(b"one\ntwo\nthr33\n"), &[]);
    let content = content(&compared);
    assert_eq!((content.first_byte, content.place.line), (11, Some(3)));
    let shown = |excerpt: &Excerpt| excerpt.context[excerpt.shown.clone()].to_vec();
    assert_eq!(shown(&content.recorded), b"three");
    assert_eq!(shown(&content.replayed), b"thr33");
}

#[test]
fn a_cause_names_the_class_that_would_have_matched() {
    let cause = |then: &[u8], now: &[u8]| {
        let compared = run(&one(then), &one(now), &[]);
        let cause = content(&compared).cause.clone();
        if let Some(class) = cause.as_ref().and_then(|cause| cause.class.clone()) {
            let declared = run(&one(then), &one(now), &[&format!("a={class}")]);
            assert!(declared.differences.is_empty(), "{class}");
        }
        cause.map(|cause| cause.words)
    };
    assert_eq!(cause(b"took 0.5s\n", b"took 1.25s\n"), Some("a length of time"));
    assert_eq!(cause(b"at 18:31:10\n", b"at 18:31:11\n"), Some("a date or a time of day"));
    assert_eq!(cause(b"<x at 0x7f00aa>", b"<x at 0x7f11bb>"), Some("memory addresses"));
    assert_eq!(cause(b"b\na\n", b"a\nb\n").unwrap().split(',').next(), Some("the order of lines"));
    assert_eq!(
        cause(b"{\"a\":1,\"b\":2}", b"{\"b\":2,\"a\":1}"),
        Some("another writing of the same data")
    );
    let (then, now) = (Digest::of(b"1"), Digest::of(b"2"));
    assert_eq!(cause(then.as_bytes(), now.as_bytes()), Some("random bytes"));
    assert_eq!(cause(b"hello", b"world!"), None);
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(usize, u8),
    Insert(usize, u8),
    Delete(usize),
    Truncate(usize),
    Append(Vec<u8>),
}

fn mutate(bytes: &[u8], mutation: &Mutation) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    let within = |at: usize| at % bytes.len().max(1);
    match mutation {
        Mutation::Flip(at, mask) if !bytes.is_empty() => mutated[within(*at)] ^= mask,
        Mutation::Insert(at, byte) => mutated.insert(at % (bytes.len() + 1), *byte),
        Mutation::Delete(at) if !bytes.is_empty() => drop(mutated.remove(within(*at))),
        Mutation::Truncate(at) => mutated.truncate(within(*at)),
        Mutation::Append(more) => mutated.extend_from_slice(more),
        _ => mutated.push(0),
    }
    mutated
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<usize>(), 1_u8..).prop_map(|(at, mask)| Mutation::Flip(at, mask)),
        any::<(usize, u8)>().prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<usize>().prop_map(Mutation::Delete),
        any::<usize>().prop_map(Mutation::Truncate),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Mutation::Append),
    ]
}

/// The slow way: the longest common prefix by trying every length.
fn oracle(a: &[u8], b: &[u8]) -> u64 {
    (0..=a.len().min(b.len())).rev().find(|len| a[..*len] == b[..*len]).unwrap() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_mutated_output_is_a_difference_at_the_right_byte(
        files in prop::collection::btree_map("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..600), 1..6),
        chosen in any::<prop::sample::Index>(),
        mutation in mutation(),
    ) {
        let recorded: Files =
            files.into_iter().map(|(name, bytes)| (format!("artifacts/{name}"), (bytes, false))).collect();
        let path = chosen.get(&recorded.keys().cloned().collect::<Vec<_>>()).clone();
        let then = recorded[&path].0.clone();
        let now = mutate(&then, &mutation);
        prop_assume!(then != now);
        let mut replayed = recorded.clone();
        replayed.insert(path.clone(), (now.clone(), false));
        let compared = run(&recorded, &replayed, &[]);
        prop_assert_eq!(compared.differences.len(), 1);
        prop_assert_eq!(&compared.differences[0].path, &path);
        prop_assert_eq!(content(&compared).first_byte, oracle(&then, &now));
        prop_assert_eq!(super::super::judge_replay(&compared, &[]).name(), "DIVERGED");
    }
}

#[test]
fn outputs_too_large_to_be_held_are_compared_as_they_are_read() {
    let files = BTreeMap::from([("artifacts/a".to_owned(), (Digest::of(b"a"), false))]);
    let others = BTreeMap::from([("artifacts/a".to_owned(), (Digest::of(b"b"), false))]);
    let len = WHOLE_BYTES_MAX as u64 + 10;
    let zeros = |n: u64| io::repeat(0).take(n);
    let then = |_: &str, _| Ok(Box::new(zeros(len)) as Box<dyn Read>);
    let now = |_: &str, _| Ok(Box::new(zeros(len - 5).chain(&b"xyz"[..])) as Box<dyn Read>);
    let compared = compare(
        &Side { files, open: &then },
        &Side { files: others, open: &now },
        &Classes::compile(&[OutputRule::parse("a=normalised").unwrap()]).unwrap(),
    );
    let content = content(&compared);
    assert_eq!(
        (content.first_byte, content.recorded_bytes, content.replayed_bytes),
        (len - 5, len, len - 2)
    );
    assert_eq!(&content.replayed.context[content.replayed.shown.clone()][12..], b"xyz");
}
