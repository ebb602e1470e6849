//! Functions of repositories, with what their comments say of them, cut into words.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fs,
    path::Path,
};

use carnet_core::RepoPath;
use carnet_index::vectors::words_of;
use carnet_parse::{Language, SymbolKind, parse, without_comments};
use serde::{Deserialize, Serialize};

use crate::text;

/// Undocumented functions kept of a repository.
const OTHERS_MAX: usize = 3_000;
const FILE_BYTES_MAX: usize = 1_000_000;
const EXTENSIONS: [&str; 7] = [".py", ".ts", ".tsx", ".mts", ".js", ".rs", ".go"];
/// Longer words are data.
const WORD_BYTES_MAX: usize = 40;

/// Words by their position in [`Data::words`].
pub type Words = Vec<u32>;

#[derive(Serialize, Deserialize, Default)]
pub struct Data {
    pub words: Vec<String>,
    pub repositories: Vec<Repository>,
}

#[derive(Serialize, Deserialize)]
pub struct Repository {
    pub name: String,
    pub functions: Vec<Function>,
}

#[derive(Serialize, Deserialize)]
pub struct Function {
    pub body: Words,
    pub name: Words,
    pub path: Words,
    /// The question; empty where there is none. Then without identifiers, then without the name's words.
    pub questions: [Words; 3],
    /// To know the same question again.
    pub question_hash: u64,
}

/// Reads what was gathered, in one file or several.
///
/// - `paths`: separated by commas.
pub fn read(paths: &str) -> Result<Data, Box<dyn Error>> {
    let mut all = Gathered::default();
    for path in paths.split(',') {
        let mut data: Data = postcard::from_bytes(&fs::read(path)?)?;
        let ids: Vec<u32> = data.words.iter().map(|word| all.id(word)).collect();
        for function in data.repositories.iter_mut().flat_map(|it| &mut it.functions) {
            let texts = [&mut function.body, &mut function.name, &mut function.path];
            for word in texts.into_iter().chain(&mut function.questions).flatten() {
                *word = ids[*word as usize];
            }
        }
        all.data.repositories.append(&mut data.repositories);
    }
    Ok(all.finish())
}

#[derive(Default)]
struct Gathered {
    data: Data,
    ids: HashMap<String, u32>,
}

pub fn gather(out: &str, repositories: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut gathered = Gathered::default();
    for repository in repositories {
        let (name, dir) = repository.split_once('=').ok_or("NAME=DIR")?;
        let is_measured = name.starts_with('+');
        let mut functions = gathered.functions(Path::new(dir))?;
        let n_documented = functions.iter().filter(|it| !it.questions[0].is_empty()).count();
        if !is_measured {
            let mut n_others = 0;
            functions.retain(|it| {
                n_others += usize::from(it.questions[0].is_empty());
                !it.questions[0].is_empty() || n_others <= OTHERS_MAX
            });
        }
        println!(
            "{name}: {} functions, {n_documented} described, {} words",
            functions.len(),
            gathered.ids.len()
        );
        gathered.data.repositories.push(Repository { name: name.to_owned(), functions });
    }
    Ok(fs::write(out, postcard::to_stdvec(&gathered.finish())?)?)
}

impl Gathered {
    fn id(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        let id = self.ids.len() as u32;
        self.ids.insert(word.to_owned(), id);
        id
    }

    fn finish(mut self) -> Data {
        self.data.words = vec![String::new(); self.ids.len()];
        for (word, id) in self.ids {
            self.data.words[id as usize] = word;
        }
        self.data
    }

    fn words(&mut self, text: &str) -> Words {
        let words = words_of(text);
        words.iter().filter(|word| word.len() <= WORD_BYTES_MAX).map(|word| self.id(word)).collect()
    }

    fn functions(&mut self, dir: &Path) -> Result<Vec<Function>, Box<dyn Error>> {
        let mut open = vec![dir.to_owned()];
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        while let Some(directory) = open.pop() {
            let mut entries: Vec<_> = fs::read_dir(&directory)
                .and_then(Iterator::collect::<Result<_, _>>)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
            entries.sort_by_key(|entry| entry.file_name());
            for entry in entries {
                let kind = entry.file_type()?;
                let path = entry.path();
                let relative = path.strip_prefix(dir)?.to_string_lossy().into_owned();
                if is_skipped(&relative) {
                    continue;
                }
                if kind.is_dir() {
                    open.push(path);
                } else if kind.is_file() {
                    let Ok(repo_path) = RepoPath::new(relative.as_bytes().to_vec()) else {
                        continue;
                    };
                    let is_wanted = EXTENSIONS.iter().any(|it| relative.ends_with(it));
                    let Some(language) = Language::of_path(&repo_path).filter(|_| is_wanted) else {
                        continue;
                    };
                    let Ok(source) = fs::read(&path) else { continue };
                    let head =
                        String::from_utf8_lossy(&source[..source.len().min(2000)]).into_owned();
                    let is_generated = head.contains("Code generated")
                        || head.contains("@generated")
                        || head.contains("auto-generated");
                    if source.len() <= FILE_BYTES_MAX && !is_generated {
                        self.file(language, &relative, &source, &mut found, &mut seen);
                    }
                }
            }
        }
        Ok(found)
    }

    fn file(
        &mut self,
        language: Language,
        path: &str,
        source: &[u8],
        found: &mut Vec<Function>,
        seen: &mut HashSet<(u64, u64)>,
    ) {
        let docs = parse(language, source).symbols;
        let docs: HashMap<_, _> =
            docs.into_iter().map(|it| (it.name_region.start, it.doc)).collect();
        let bare = without_comments(language, source);
        let is_test_file = is_test(path);
        let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
        for symbol in parse(language, &bare).symbols {
            if !matches!(symbol.kind, SymbolKind::Function | SymbolKind::Method) {
                continue;
            }
            let body =
                String::from_utf8_lossy(&bare[symbol.region.start..symbol.region.end]).into_owned();
            let n_letters = body.split_whitespace().map(str::len).sum::<usize>();
            if !(20..=20_000).contains(&n_letters) {
                continue;
            }
            let is_test = is_test_file
                || symbol.container.split('.').any(|it| it == "tests")
                || ["test_", "Test", "Benchmark"]
                    .iter()
                    .any(|start| symbol.name.starts_with(start));
            let doc = docs.get(&symbol.name_region.start).map_or("", String::as_str);
            let question = text::question(doc).filter(|_| !is_test);
            let body_hash = hash(&body.split_whitespace().collect::<String>());
            let question_hash = question.as_deref().map_or(0, hash);
            if !seen.insert((body_hash, question_hash)) {
                continue;
            }
            let questions = question.map_or([None, None, None], |it| {
                let (a, b) = (
                    text::without_identifiers(&it, &symbol.name),
                    text::without_name(&it, &symbol.name),
                );
                [Some(it), a, b]
            });
            let qualified = format!("{}.{}", symbol.container, symbol.name);
            found.push(Function {
                body: self.words(&body),
                name: self.words(&qualified),
                path: self.words(stem),
                questions: questions.map(|it| it.map(|it| self.words(&it)).unwrap_or_default()),
                question_hash,
            });
        }
    }
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn is_skipped(path: &str) -> bool {
    const PARTS: [&str; 12] = [
        "vendor",
        "node_modules",
        "third_party",
        "dist",
        "build",
        ".git",
        "__snapshots__",
        "generated",
        "testdata",
        "fixtures",
        "locale",
        "locales",
    ];
    path.split('/').any(|part| PARTS.contains(&part))
        || [".min.", ".d.ts", ".pb.go", "_generated", "zz_generated", ".gen.go", "bindata"]
            .iter()
            .any(|it| path.contains(it))
}

fn is_test(path: &str) -> bool {
    const PARTS: [&str; 16] = [
        "test",
        "tests",
        "__tests__",
        "spec",
        "specs",
        "testing",
        "testutil",
        "testutils",
        "e2e",
        "benches",
        "benchmark",
        "benchmarks",
        "examples",
        "example",
        "playground",
        "integration",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| PARTS.contains(&part))
        || name.starts_with("test_")
        || [
            "_test.go",
            "_test.py",
            ".test.ts",
            ".test.js",
            ".spec.ts",
            ".spec.js",
            ".test.tsx",
            "conftest.py",
        ]
        .iter()
        .any(|it| name.ends_with(it))
        || ["test.rs", "tests.rs", "test.py", "tests.py", "test.ts", "test.go"].contains(&name)
}
