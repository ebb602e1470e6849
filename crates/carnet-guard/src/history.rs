//! What commits brought, and the bytes of it, by the git program: it knows grafts, shallow borders, alternates and the
//! quarantine of a push, and walks faster than a library here.
//!
//! A commit's changes are what `git diff-tree -c` says of it: files that differ from every parent. Every file of every commit is
//! the change of some commit of its history, so a walk over all commits sees each blob that any of them holds.
//!
//! Invariants: an answer that is not understood, a missing object and a child that fails are errors; nothing is skipped.
//! Memory is bounded by one blob and 256 names, whatever the length of the history.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use carnet_core::{GitOid, RepoPath, RepoPathError};
use carnet_git::{ProgramError, Repo};

use crate::workers::Gathered;

/// Variables that show git the objects of a push that is not accepted yet.
const QUARANTINE_VARS: [&str; 3] =
    ["GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"];

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// No git program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A child could not be started or spoken to.
    #[error("speak with `git {command}`")]
    Io {
        /// Which.
        command: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A child failed; an unknown revision and a damaged object are the usual reasons.
    #[error("`git {command}` failed: {stderr}")]
    Failed {
        /// Which.
        command: &'static str,
        /// What it said.
        stderr: String,
    },
    /// A child answered something else than its documentation says.
    #[error("`git {command}` gave an answer that carnet does not understand")]
    Answer {
        /// Which.
        command: &'static str,
    },
    /// A tree holds a name that is no path, such as `..`: made by hand, and refused.
    #[error("a tree holds a name that is no path")]
    Path(#[from] RepoPathError),
    /// An object is not there: damage, or a partial clone.
    #[error("{what} is missing (object {id})")]
    Missing {
        /// Its id.
        id: GitOid,
        /// What it holds, in words.
        what: String,
    },
    /// An object is too large to be examined.
    #[error("{what} is larger than {bytes_max} bytes (object {id})")]
    TooLarge {
        /// Its id.
        id: GitOid,
        /// What it holds, in words.
        what: String,
        /// The bound.
        bytes_max: u64,
    },
}

/// Which commits: what `git rev-list` says of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisions {
    /// Options, such as `--all` or `--not --all`, before the revisions.
    pub options: Vec<String>,
    /// Revisions and ranges, one each; they reach git on standard input and are never options.
    pub revisions: Vec<String>,
}

/// What a history holds for the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A file.
    File(Change),
    /// The message of a commit or of an annotated tag.
    Message(Speaker),
}

impl Piece {
    fn object_id(&self) -> GitOid {
        match self {
            Piece::File(change) => change.blob_id,
            Piece::Message(speaker) => speaker.id(),
        }
    }

    fn object_type(&self) -> &'static str {
        match self {
            Piece::File(_) => "blob",
            Piece::Message(Speaker::Commit(_)) => "commit",
            Piece::Message(Speaker::Tag(_)) => "tag",
        }
    }

    fn in_words(&self) -> String {
        match self {
            Piece::File(change) => format!("file `{}`", change.path),
            Piece::Message(speaker) => speaker.message_name(),
        }
    }
}

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// A commit's.
    Commit(GitOid),
    /// A tag's.
    Tag(GitOid),
}

impl Speaker {
    /// Returns the object that holds the message.
    pub(crate) fn id(self) -> GitOid {
        match self {
            Speaker::Commit(id) | Speaker::Tag(id) => id,
        }
    }

    /// Returns how reports name the message.
    pub(crate) fn message_name(self) -> String {
        match self {
            Speaker::Commit(id) => format!("message of commit {}", id.short()),
            Speaker::Tag(id) => format!("message of tag {}", id.short()),
        }
    }
}

/// One file as one commit brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit; `None` for what a ref names without a commit.
    pub commit_id: Option<GitOid>,
    /// The path.
    pub path: RepoPath,
    /// The blob.
    pub blob_id: GitOid,
}

/// Returns a git command that sees a push's quarantine.
fn git(repo: &Repo) -> Result<Command, HistoryError> {
    let mut command = repo.git()?;
    for name in QUARANTINE_VARS {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    Ok(command)
}

/// Calls `each` for the message and every change of every commit, oldest commit first, the message before the changes, which
/// have no order.
///
/// Submodules and deletions are left out.
pub(crate) fn each_piece<E: From<HistoryError>>(
    repo: &Repo,
    revisions: &Revisions,
    mut each: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let mut rev_list = Running::start(
        "rev-list",
        git(repo)?.arg("rev-list").arg("--reverse").args(&revisions.options).arg("--stdin"),
    )?;
    rev_list.tell_all(&revisions.revisions)?;
    let commits = rev_list.take_stdout()?;
    let mut command = git(repo)?;
    command.args(["diff-tree", "--stdin", "-r", "-c", "--root", "-z", "--raw", "--no-renames"]);
    command.args(["--no-abbrev", "--no-ext-diff", "--no-textconv", "--always"]).stdin(commits);
    let mut diff_tree = Running::start_with_stdin("diff-tree", &mut command)?;
    let mut tokens =
        Tokens { from: BufReader::new(diff_tree.take_stdout()?), command: "diff-tree" };
    let mut commit_id = None;
    while let Some(token) = tokens.next()? {
        if token.first() != Some(&b':') {
            let id = oid(&token, "diff-tree")?;
            commit_id = Some(id);
            each(Piece::Message(Speaker::Commit(id)))?;
            continue;
        }
        let path = tokens.next()?.ok_or(HistoryError::Answer { command: "diff-tree" })?;
        if let Some(blob_id) = new_blob(&token)? {
            let path = RepoPath::new(path).map_err(HistoryError::Path)?;
            each(Piece::File(Change { commit_id, path, blob_id }))?;
        }
    }
    // This one first: when it fails, the other only met a closed pipe.
    diff_tree.finish()?;
    Ok(rev_list.finish()?)
}

/// A commit by its trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitTree {
    pub(crate) id: GitOid,
    pub(crate) tree: GitOid,
    /// The trees of its parents, as far as they are here: at the border of a shallow clone there are none.
    pub(crate) parent_trees: Vec<GitOid>,
}

/// Returns the trees of commits, newest first, and of their parents; of `n_max` commits at most.
pub(crate) fn commit_trees(
    repo: &Repo,
    revisions: &Revisions,
    n_max: Option<usize>,
) -> Result<Vec<CommitTree>, HistoryError> {
    let mut command = git(repo)?;
    command.arg("rev-list").arg("--format=%H %T %P").args(&revisions.options);
    command.args(n_max.map(|n_max| format!("--max-count={n_max}"))).arg("--stdin");
    let mut child = Running::start("rev-list", &mut command)?;
    child.tell_all(&revisions.revisions)?;
    let mut answer = String::new();
    let read = child.take_stdout()?.read_to_string(&mut answer);
    read.map_err(|source| HistoryError::Io { command: "rev-list", source })?;
    child.finish()?;
    let mut commits = vec![];
    for line in answer.lines().filter(|line| !line.starts_with("commit ")) {
        let ids = line.split_whitespace().map(|id| oid(id.as_bytes(), "rev-list"));
        let ids: Vec<GitOid> = ids.collect::<Result<_, _>>()?;
        let [id, tree, parents @ ..] = &ids[..] else {
            return Err(HistoryError::Answer { command: "rev-list" });
        };
        commits.push((*id, *tree, parents.to_vec()));
    }
    let mut trees: HashMap<GitOid, GitOid> = commits.iter().map(|it| (it.0, it.1)).collect();
    let mut unknown: Vec<GitOid> = commits.iter().flat_map(|it| it.2.clone()).collect();
    unknown.retain(|id| !trees.contains_key(id));
    unknown.sort();
    unknown.dedup();
    for some in unknown.chunks(ASKED_MAX) {
        let names: Vec<_> = some.iter().map(|id| format!("{id}^{{tree}}")).collect();
        for (id, peeled) in some.iter().zip(peel_names(repo, &names)?) {
            match peeled {
                Peeled::Tree(tree) => trees.insert(*id, tree),
                _ => return Err(HistoryError::Answer { command: "cat-file" }),
            };
        }
    }
    let with_parents = commits.into_iter().map(|(id, tree, parents)| {
        let parent_trees = parents.iter().map(|parent| trees[parent]).collect();
        CommitTree { id, tree, parent_trees }
    });
    Ok(with_parents.collect())
}

/// Reads `:<mode> <mode> <id> <id> <status>`, with one colon, mode and id more for each further parent.
fn new_blob(token: &[u8]) -> Result<Option<GitOid>, HistoryError> {
    let wrong = HistoryError::Answer { command: "diff-tree" };
    let n_parents = token.iter().take_while(|byte| **byte == b':').count();
    let fields: Vec<&[u8]> = token[n_parents..].split(|byte| *byte == b' ').collect();
    if fields.len() != 2 * n_parents + 3 {
        return Err(wrong);
    }
    match fields[n_parents] {
        b"000000" | b"160000" => Ok(None),
        _ => oid(fields[2 * n_parents + 1], "diff-tree").map(Some),
    }
}

/// What an object leads to when tags are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peeled {
    /// A commit.
    Commit,
    /// A tree.
    Tree(GitOid),
    /// A blob.
    Blob(GitOid),
}

/// Follows the tags of many objects.
pub(crate) fn peel(repo: &Repo, ids: &[GitOid]) -> Result<Vec<Peeled>, HistoryError> {
    let mut peeled = vec![];
    for some in ids.chunks(ASKED_MAX) {
        let names: Vec<_> = some.iter().map(|id| format!("{id}^{{}}")).collect();
        peeled.extend(peel_names(repo, &names)?);
    }
    Ok(peeled)
}

/// Says what each of at most [`ASKED_MAX`] names is.
fn peel_names(repo: &Repo, names: &[String]) -> Result<Vec<Peeled>, HistoryError> {
    let mut command = git(repo)?;
    command.args(["cat-file", "--batch-check=%(objectname) %(objecttype)"]);
    let mut child = Running::start("cat-file", &mut command)?;
    child.tell_all(names)?;
    let mut answer = String::new();
    let read = child.take_stdout()?.read_to_string(&mut answer);
    read.map_err(|source| HistoryError::Io { command: "cat-file", source })?;
    child.finish()?;
    let wrong = || HistoryError::Answer { command: "cat-file" };
    if answer.lines().count() != names.len() {
        return Err(wrong());
    }
    let read = |line: &str| {
        let (id, kind) = line.split_once(' ').ok_or_else(wrong)?;
        Ok(match kind {
            "commit" => Peeled::Commit,
            "tree" => Peeled::Tree(oid(id.as_bytes(), "cat-file")?),
            "blob" => Peeled::Blob(oid(id.as_bytes(), "cat-file")?),
            _ => return Err(wrong()),
        })
    };
    answer.lines().map(read).collect()
}

/// Returns the files of what names lead to without a commit: blobs, and the trees' files. The name is a blob's path.
pub(crate) fn named_without_commit(
    repo: &Repo,
    tips: &[(GitOid, String)],
) -> Result<Vec<Change>, HistoryError> {
    let ids: Vec<_> = tips.iter().map(|(id, _)| *id).collect();
    let mut files = vec![];
    for ((_, name), peeled) in tips.iter().zip(peel(repo, &ids)?) {
        match peeled {
            Peeled::Commit => {}
            Peeled::Tree(id) => files.extend(tree_files(repo, &id)?),
            Peeled::Blob(blob_id) => {
                let path = RepoPath::new(name.clone().into_bytes())?;
                files.push(Change { commit_id: None, path, blob_id });
            }
        }
    }
    Ok(files)
}

/// Returns every ref that names a blob or a tree, itself or through a tag.
pub(crate) fn refs_without_commit(repo: &Repo) -> Result<Vec<(GitOid, String)>, HistoryError> {
    let format = "%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname)";
    let answer =
        answer("for-each-ref", git(repo)?.args(["for-each-ref", &format!("--format={format}")]))?;
    let mut tips = vec![];
    for line in String::from_utf8_lossy(&answer).lines() {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let [kind, id, peeled_kind, peeled_id, name] = fields[..] else {
            return Err(HistoryError::Answer { command: "for-each-ref" });
        };
        let (kind, id) = if kind == "tag" { (peeled_kind, peeled_id) } else { (kind, id) };
        if kind == "blob" || kind == "tree" {
            tips.push((oid(id.as_bytes(), "for-each-ref")?, name.to_owned()));
        }
    }
    Ok(tips)
}

/// Returns the names of all refs.
pub(crate) fn ref_names(repo: &Repo) -> Result<Vec<String>, HistoryError> {
    let answer = answer("for-each-ref", git(repo)?.args(["for-each-ref", "--format=%(refname)"]))?;
    Ok(String::from_utf8_lossy(&answer).lines().map(str::to_owned).collect())
}

/// Returns the commits that refs and HEAD name, each once.
pub(crate) fn tips(repo: &Repo) -> Result<Vec<GitOid>, HistoryError> {
    let answer = answer("rev-list", git(repo)?.args(["rev-list", "--all", "--no-walk"]))?;
    let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| oid(line, "rev-list")).collect()
}

/// Returns what [`tips`] does but for carnet's own refs, whose commits hold what was examined when it was recorded.
pub(crate) fn tips_of_others(repo: &Repo) -> Result<Vec<GitOid>, HistoryError> {
    let ours = ["--exclude=refs/carnet/*", "--exclude=refs/notes/carnet/*"];
    let command = &mut git(repo)?;
    let answer =
        answer("rev-list", command.arg("rev-list").args(ours).args(["--all", "--no-walk"]))?;
    let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| oid(line, "rev-list")).collect()
}

/// Tells whether every one of `tips` is there and reachable from a ref.
pub(crate) fn are_reachable(repo: &Repo, tips: &[GitOid]) -> Result<bool, HistoryError> {
    let mut command = git(repo)?;
    command.args(["rev-list", "--max-count=1", "--stdin"]);
    let mut child = Running::start("rev-list", &mut command)?;
    let known = tips.iter().map(ToString::to_string);
    let present = self::tips(repo)?.into_iter().map(|tip| format!("^{tip}"));
    child.tell_all(&known.chain(present).collect::<Vec<_>>())?;
    let mut answer = vec![];
    let read = child.take_stdout()?.read_to_end(&mut answer);
    read.map_err(|source| HistoryError::Io { command: "rev-list", source })?;
    // A tip that is gone makes git fail: it is not reachable.
    Ok(child.finish().is_ok() && answer.is_empty())
}

fn tree_files(repo: &Repo, id: &GitOid) -> Result<Vec<Change>, HistoryError> {
    let answer = answer(
        "ls-tree",
        git(repo)?.args(["ls-tree", "-r", "-z", "--full-tree", &id.to_string()]),
    )?;
    let mut files = vec![];
    for record in answer.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
        let wrong = || HistoryError::Answer { command: "ls-tree" };
        let tab = record.iter().position(|byte| *byte == b'\t').ok_or_else(wrong)?;
        let fields: Vec<&[u8]> = record[..tab].split(|byte| *byte == b' ').collect();
        let [_, kind, id] = fields[..] else { return Err(wrong()) };
        if kind == b"blob" {
            let path = RepoPath::new(record[tab + 1..].to_vec())?;
            files.push(Change { commit_id: None, path, blob_id: oid(id, "ls-tree")? });
        }
    }
    Ok(files)
}

fn answer(name: &'static str, command: &mut Command) -> Result<Vec<u8>, HistoryError> {
    let output = command.output().map_err(|source| HistoryError::Io { command: name, source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HistoryError::Failed { command: name, stderr })
}

fn oid(text: &[u8], command: &'static str) -> Result<GitOid, HistoryError> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| GitOid::from_hex(text).ok()).ok_or(HistoryError::Answer { command })
}

/// Parts that end with a NUL.
struct Tokens {
    from: BufReader<ChildStdout>,
    command: &'static str,
}

impl Tokens {
    fn next(&mut self) -> Result<Option<Vec<u8>>, HistoryError> {
        let mut token = vec![];
        let command = self.command;
        self.from
            .read_until(0, &mut token)
            .map_err(|source| HistoryError::Io { command, source })?;
        match token.pop() {
            None => Ok(None),
            Some(0) => Ok(Some(token)),
            Some(_) => Err(HistoryError::Answer { command }),
        }
    }
}

/// Returns the annotated tags that refs name.
pub(crate) fn tag_refs(repo: &Repo) -> Result<Vec<GitOid>, HistoryError> {
    let format = "--format=%(objecttype) %(objectname)";
    let answer = answer("for-each-ref", git(repo)?.args(["for-each-ref", format]))?;
    let tags = answer.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"tag "));
    tags.map(|id| oid(id, "for-each-ref")).collect()
}

/// Keeps the ids of annotated tags.
pub(crate) fn tags_among(repo: &Repo, ids: &[GitOid]) -> Result<Vec<GitOid>, HistoryError> {
    let mut tags = vec![];
    for some in ids.chunks(ASKED_MAX) {
        let mut command = git(repo)?;
        command.args(["cat-file", "--batch-check=%(objecttype)"]);
        let mut child = Running::start("cat-file", &mut command)?;
        child.tell_all(&some.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut answer = String::new();
        let read = child.take_stdout()?.read_to_string(&mut answer);
        read.map_err(|source| HistoryError::Io { command: "cat-file", source })?;
        child.finish()?;
        if answer.lines().count() != some.len() {
            return Err(HistoryError::Answer { command: "cat-file" });
        }
        tags.extend(some.iter().zip(answer.lines()).filter(|(_, t)| *t == "tag").map(|(id, _)| id));
    }
    Ok(tags)
}

/// Splits a commit or a tag into its message and, for a tag of a tag, the tag that it names.
///
/// Headers end at the first empty line; signatures of commits are headers, those of tags end the message.
pub(crate) fn message_of(object: &[u8]) -> (&[u8], Option<GitOid>) {
    let end = object.windows(2).position(|two| two == b"\n\n").unwrap_or(object.len());
    let header = |name: &[u8]| {
        object[..end].split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))
    };
    let inner = header(b"object ").filter(|_| header(b"type ") == Some(b"tag"));
    let message = object.get(end + 2..).unwrap_or_default();
    (message, inner.and_then(|id| oid(id, "cat-file").ok()))
}

/// Reads objects through one `git cat-file --batch`.
pub(crate) struct ObjectReader {
    child: Running,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    bytes_max: u64,
}

/// Most names that are asked for at once: with their newlines they fit into a pipe, so neither side waits for the other.
pub(crate) const ASKED_MAX: usize = 256;

/// What git may keep in memory while it reads: by itself it takes a quarter of a gigabyte, and is no faster for it when objects are
/// asked for in the order of history.
const READER_MEMORY: [&str; 3] =
    ["core.deltaBaseCacheLimit=32m", "core.packedGitWindowSize=1m", "core.packedGitLimit=16m"];

impl ObjectReader {
    pub(crate) fn start(repo: &Repo, bytes_max: u64) -> Result<ObjectReader, HistoryError> {
        let mut command = git(repo)?;
        for setting in READER_MEMORY {
            command.args(["-c", setting]);
        }
        let mut child = Running::start("cat-file", command.args(["cat-file", "--batch"]))?;
        let stdin = child.child.stdin.take().ok_or(HistoryError::Answer { command: "cat-file" })?;
        let stdout = BufReader::with_capacity(1 << 16, child.take_stdout()?);
        Ok(ObjectReader { child, stdin, stdout, bytes_max })
    }

    /// Reads each piece's object, at most [`ASKED_MAX`] of them, and gives it away before the next is read.
    pub(crate) fn read<E: From<HistoryError>>(
        &mut self,
        batch: Vec<Gathered>,
        mut each: impl FnMut(Gathered, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = |it: &Gathered| format!("{}\n", it.piece.object_id());
        let names: String = batch.iter().map(name).collect();
        let io = |source| HistoryError::Io { command: "cat-file", source };
        self.stdin.write_all(names.as_bytes()).and_then(|()| self.stdin.flush()).map_err(io)?;
        for gathered in batch {
            let bytes = self.read_one(&gathered.piece)?;
            each(gathered, bytes)?;
        }
        Ok(())
    }

    /// Reads `<id> <type> <size>`, a newline, the bytes, a newline.
    fn read_one(&mut self, piece: &Piece) -> Result<Vec<u8>, HistoryError> {
        let io = |source| HistoryError::Io { command: "cat-file", source };
        let wrong = || HistoryError::Answer { command: "cat-file" };
        let id = piece.object_id();
        let mut head = String::new();
        self.stdout.read_line(&mut head).map_err(io)?;
        let fields: Vec<&str> = head.split_whitespace().collect();
        let size = match fields[..] {
            [named, kind, size] if named == id.to_string() && kind == piece.object_type() => {
                size.parse::<u64>().map_err(|_| wrong())?
            }
            [_, "missing"] => {
                return Err(HistoryError::Missing { id, what: piece.in_words() });
            }
            _ => return Err(wrong()),
        };
        if size > self.bytes_max {
            let bytes_max = self.bytes_max;
            return Err(HistoryError::TooLarge { id, what: piece.in_words(), bytes_max });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        (&mut self.stdout).take(size).read_to_end(&mut bytes).map_err(io)?;
        let mut end = [0];
        self.stdout.read_exact(&mut end).map_err(io)?;
        if bytes.len() as u64 != size || end != *b"\n" { Err(wrong()) } else { Ok(bytes) }
    }

    /// Ends the child and makes sure that it had nothing to complain of.
    pub(crate) fn finish(self) -> Result<(), HistoryError> {
        drop(self.stdin);
        drop(self.stdout);
        self.child.finish()
    }
}

/// A child that is ended when it is no longer wanted.
struct Running {
    child: Child,
    command: &'static str,
}

impl Running {
    fn start(name: &'static str, command: &mut Command) -> Result<Running, HistoryError> {
        Running::start_with_stdin(name, command.stdin(Stdio::piped()))
    }

    fn start_with_stdin(
        name: &'static str,
        command: &mut Command,
    ) -> Result<Running, HistoryError> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| HistoryError::Io { command: name, source })?;
        Ok(Running { child, command: name })
    }

    fn take_stdout(&mut self) -> Result<ChildStdout, HistoryError> {
        self.child.stdout.take().ok_or(HistoryError::Answer { command: self.command })
    }

    /// Writes lines and closes. The child reads them all before it answers.
    fn tell_all(&mut self, lines: &[String]) -> Result<(), HistoryError> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let Some(mut stdin) = self.child.stdin.take() else { return Ok(()) };
        match stdin.write_all(text.as_bytes()) {
            // The child ended early; its exit says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|source| HistoryError::Io { command: self.command, source }),
        }
    }

    /// Waits for the end; a failure is an error with what the child said.
    fn finish(mut self) -> Result<(), HistoryError> {
        let command = self.command;
        let io = |source| HistoryError::Io { command, source };
        let mut stderr = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut stderr).map_err(io)?;
        }
        if self.child.wait().map_err(io)?.success() {
            return Ok(());
        }
        Err(HistoryError::Failed { command, stderr: stderr.trim().to_owned() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
