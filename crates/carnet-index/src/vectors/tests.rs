//! The graph of neighbours against looking at all, over vectors of real functions.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::Path,
    sync::OnceLock,
};

use carnet_core::RepoPath;
use carnet_parse::{Language, parse};

use super::{Model, Near, Question, UnitTexts, VectorWriter, Vectors, build::build, nearest};

/// How many of the best are compared.
const BEST: usize = 10;

/// Returns the vectors of carnet's own functions, with the first line of the comment of each.
fn functions() -> Vec<(Vec<f32>, String)> {
    let mut found = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for room in ["carnet-index", "carnet-core"] {
        gather(&crates.join(room).join("src"), &mut found);
    }
    found
}

fn gather(dir: &Path, found: &mut Vec<(Vec<f32>, String)>) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, found);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(language) = Language::of_path(&RepoPath::new(name.as_bytes()).unwrap()) else {
            continue;
        };
        let source = fs::read(&path).unwrap();
        for symbol in parse(language, &source).symbols {
            let body = String::from_utf8_lossy(&source[symbol.region.start..symbol.region.end]);
            let texts =
                UnitTexts { body: &body, name: &symbol.name, path: &name, doc: &symbol.doc };
            let vector = Model::embedded().unit(&texts);
            let doc = symbol.doc.lines().next().unwrap_or_default().to_owned();
            found.extend(vector.map(|it| (it, doc)));
        }
    }
}

struct Base {
    dir: tempfile::TempDir,
    questions: Vec<Question>,
    live: HashSet<u64>,
}

const FILES: [&str; 2] = ["vectors", "neighbours"];

/// What [`made`] made, without its directory, which nobody would remove.
struct Made {
    files: [Vec<u8>; 2],
    questions: Vec<Question>,
    live: HashSet<u64>,
}

/// Returns a copy of [`made`], made once.
fn base() -> Base {
    static MADE: OnceLock<Made> = OnceLock::new();
    let Made { files, questions, live } = MADE.get_or_init(|| {
        let made = made();
        let files = FILES.map(|name| fs::read(made.dir.path().join(name)).unwrap());
        Made { files, questions: made.questions, live: made.live }
    });
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in FILES.iter().zip(files) {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    Base { dir, questions: questions.clone(), live: live.clone() }
}

/// Writes all functions, four of five before the graph is made, and counts one of seven as dead since.
fn made() -> Base {
    let dir = tempfile::tempdir().unwrap();
    let functions = functions();
    assert!(functions.len() > 900, "{}", functions.len());
    let dimension = Model::embedded().dimension();
    let mut writer = VectorWriter::open(dir.path(), dimension).unwrap();
    let n_base = functions.len() * 4 / 5;
    let all: HashSet<u64> = (0..functions.len() as u64).collect();
    for (at, (vector, _)) in functions.iter().enumerate() {
        if at == n_base {
            writer.commit().unwrap();
            assert!(build(dir.path(), dimension, &all, |_, _| true).unwrap().unwrap() > 600);
        }
        // Spread over all of them, so that what is new is of every kind.
        writer.add((at * 7919 % functions.len()) as u64, 0, vector);
    }
    writer.commit().unwrap();
    let docs = functions.iter().map(|(_, doc)| doc).filter(|doc| doc.len() > 20);
    let questions = docs.filter_map(|doc| Model::embedded().question(doc)).map(Question::new);
    let live = all.into_iter().filter(|file| file % 7 != 0).collect();
    Base { questions: questions.step_by(5).collect(), dir, live }
}

impl Base {
    fn exactly(&self, question: &Question) -> Vec<Near> {
        let vectors = Vectors::open(self.dir.path(), question.dimension()).unwrap();
        vectors.nearest(question, BEST, |file, _| self.live.contains(&file))
    }

    fn by_graph(&self, question: &Question) -> super::Nearest {
        nearest(self.dir.path(), question, BEST, |file, _| self.live.contains(&file)).unwrap()
    }
}

#[test]
fn the_graph_finds_what_looking_at_all_finds_with_dead_and_new_vectors() {
    let base = base();
    let (mut n_same, mut n_all, mut n_looked, mut n_vectors) = (0, 0, 0, 0);
    for question in &base.questions {
        let exact = base.exactly(question);
        let found = base.by_graph(question);
        assert!(!found.is_graph_damaged);
        assert_eq!(exact.len(), BEST);
        // Of vectors equally near any may be named.
        let worst = exact[BEST - 1].cosine;
        n_same += found.units.iter().filter(|it| it.cosine >= worst).count();
        n_all += BEST;
        n_looked += found.n_looked;
        n_vectors += Vectors::open(base.dir.path(), question.dimension()).unwrap().len();
        assert!(found.units.iter().all(|it| base.live.contains(&it.file)));
    }
    assert!(base.questions.len() > 50, "{}", base.questions.len());
    assert!(n_same as f64 >= 0.98 * n_all as f64, "{n_same} of {n_all}");
    assert!(n_looked < n_vectors, "the graph was not used: {n_looked} of {n_vectors}");
}

#[test]
fn where_almost_nothing_is_wanted_all_are_looked_at() {
    let base = base();
    let question = &base.questions[0];
    let is_wanted = |file: u64, _| file % 200 == 1;
    let found = nearest(base.dir.path(), question, BEST, is_wanted).unwrap();
    let vectors = Vectors::open(base.dir.path(), question.dimension()).unwrap();
    assert_eq!(found.units, vectors.nearest(question, BEST, is_wanted));
}

#[test]
fn a_damaged_graph_is_noticed_and_never_answers() {
    let base = base();
    let path = base.dir.path().join("neighbours");
    let whole = fs::read(&path).unwrap();
    let question = &base.questions[1];
    let exact: BTreeSet<u64> = base.exactly(question).iter().map(|it| it.file).collect();
    let healthy: BTreeSet<u64> = base.by_graph(question).units.iter().map(|it| it.file).collect();
    let mut n_damaged = 0;
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x24;
        fs::write(&path, damaged).unwrap();
        let found = base.by_graph(question);
        let files: BTreeSet<u64> = found.units.iter().map(|it| it.file).collect();
        n_damaged += usize::from(found.is_graph_damaged);
        assert_eq!(files, if found.is_graph_damaged { exact.clone() } else { healthy.clone() });
    }
    assert!(n_damaged > 0);
    for n in [0, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..n]).unwrap();
        assert!(base.by_graph(question).is_graph_damaged, "{n} bytes");
    }
}

#[test]
fn a_graph_of_vectors_that_were_rewritten_is_not_used() {
    let base = base();
    let dimension = Model::embedded().dimension();
    let mut writer = VectorWriter::open(base.dir.path(), dimension).unwrap();
    writer.keep(&base.live).unwrap();
    let question = &base.questions[2];
    let found = base.by_graph(question);
    assert!(!found.is_graph_damaged);
    assert_eq!(found.units, base.exactly(question));
    assert_eq!(found.n_looked, Vectors::open(base.dir.path(), dimension).unwrap().len());
}

#[test]
fn a_graph_that_is_stopped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = VectorWriter::open(dir.path(), 3).unwrap();
    (0..600).for_each(|file| writer.add(file, 0, &[1.0, file as f32, 0.5]));
    writer.commit().unwrap();
    let live = (0..600).collect();
    let mut n_asked = 0;
    let stopped = build(dir.path(), 3, &live, |_, _| {
        n_asked += 1;
        n_asked < 2
    });
    assert_eq!(stopped.unwrap(), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(build(dir.path(), 3, &HashSet::new(), |_, _| true).unwrap(), None);
}

#[test]
fn equal_vectors_are_one_node_however_many() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = VectorWriter::open(dir.path(), 3).unwrap();
    (0..500).for_each(|file| writer.add(file, 0, &[1.0, 0.0, 0.0]));
    (500..900).for_each(|file| writer.add(file, 0, &[0.0, 1.0, file as f32 / 900.0]));
    writer.commit().unwrap();
    let n_nodes = build(dir.path(), 3, &(0..900).collect(), |_, _| true).unwrap().unwrap();
    assert!(n_nodes <= 401, "{n_nodes}");
    let question = Question::new(vec![1.0, 0.0, 0.0]);
    let found = nearest(dir.path(), &question, 500, |_, _| true).unwrap();
    assert_eq!(found.units.len(), 500);
    assert!(found.units.iter().all(|it| it.file < 500));
}
