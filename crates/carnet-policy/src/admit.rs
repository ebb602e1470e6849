//! May this argument vector run in this lane?
//!
//! Invariant: an allowed vector was matched whole by one allow rule, by no deny rule, and names its tool by a
//! bare name. Everything else is denied with a reason.

use std::collections::BTreeMap;

use carnet_core::{Decision, Digest, Reason, Verdict};

use crate::{
    environment,
    lane::Lane,
    pattern::{Expected, Mismatch, MismatchKind},
    rule::{AllowRule, DenyRule, Head},
    show,
};

/// Most arguments, the tool included.
pub const ARGUMENTS_MAX: usize = 4096;
/// Most bytes of all arguments together.
pub const ARGV_BYTES_MAX: usize = 128 << 10;

/// The decision about one argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Allow or deny, with one reason and the digest of the lane.
    ///
    /// The reason quotes arguments, cut and with control characters escaped; they may hold a secret, so redact
    /// it like any other text before it leaves the machine.
    pub verdict: Verdict,
    /// The rule that decided; `None` when no rule did.
    pub rule: Option<RuleRef>,
    /// The allow rule that got furthest, when none matched and one knows the tool.
    pub nearest: Option<Nearest>,
    /// Whether the lane itself would allow it, and what a work tree adds does not.
    pub by_work_tree: bool,
}

/// Names a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    /// Lane and id: `code-impl/cargo-test`; `deny/…` for the shared list.
    pub id: String,
    /// `allowlists/code-impl.toml:41`.
    pub location: String,
    /// Whether a run may execute what the repository contains, and so demands the strict sandbox.
    pub runs_repository_code: bool,
}

/// The allow rule that came nearest, and where it parts from the argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// Lane and id: `code-impl/cargo-test`.
    pub rule_id: String,
    /// `allowlists/code-impl.toml:41`.
    pub location: String,
    /// Index into the argument vector, from 0; its length when an argument is missing.
    pub argument_index: usize,
    /// What the rule expects there, in words.
    pub expected: String,
}

impl Lane {
    /// Decides about an argument vector; its first element names the tool.
    ///
    /// Never fails and never panics, whatever the arguments: what is not understood is denied. More than
    /// [`ARGUMENTS_MAX`] arguments or [`ARGV_BYTES_MAX`] bytes are denied before anything is compared.
    /// Where a work tree tightens the lane, both must allow.
    pub fn admit(&self, argv: &[String]) -> Admission {
        self.admit_given(argv, &BTreeMap::new())
    }

    /// As [`Lane::admit`], for a caller who would pass on an environment: a variable in it that steers programs
    /// and that the lane does not name is a denial.
    pub fn admit_given(&self, argv: &[String], given: &BTreeMap<String, String>) -> Admission {
        let mut admission = self.admit_alone(argv);
        if !admission.verdict.is_allowed() {
            return admission;
        }
        if let Some(tightening) = self.tightening() {
            let second = tightening.admit_alone(argv);
            if !second.verdict.is_allowed() {
                return Admission { by_work_tree: true, ..second };
            }
            if let (Some(rule), Some(other)) = (&mut admission.rule, &second.rule) {
                rule.runs_repository_code |= other.runs_repository_code;
            }
        }
        match environment::refused_of(given, self.environment()) {
            None => admission,
            Some((name, why)) => {
                let message = format!("variable `{}` {why}", show(name));
                let hint =
                    "leave it out; a run has the environment that its lane names, and no other";
                self.deny(self.plain_reason("environment", message, Some(hint.to_owned())))
            }
        }
    }

    fn admit_alone(&self, argv: &[String]) -> Admission {
        if let Some(message) = malformed(argv) {
            return self.deny(self.plain_reason("argument-vector", message, None));
        }
        if let Some(rule) = self.denials().find(|rule| rule.matches(argv)) {
            return self.denied_by(rule, argv);
        }
        if !is_bare_tool_name(&argv[0]) {
            let message = format!("`{}` is not the bare name of a tool", show(&argv[0]));
            let hint = "name the tool without a path, the tool lock says which file that is";
            return self.deny(self.plain_reason("bare-tool-name", message, Some(hint.to_owned())));
        }
        let mut nearest: Option<(&AllowRule, Mismatch<'_>)> = None;
        for rule in self.allow_rules().iter().filter(|rule| rule.is_for(&argv[0])) {
            let Err(mismatch) = rule.matches(argv) else { return self.allowed_by(rule) };
            let furthest = nearest.as_ref().map_or(0, |(_, mismatch)| mismatch.argument_idx);
            if mismatch.argument_idx > furthest {
                nearest = Some((rule, mismatch));
            }
        }
        match nearest.or_else(|| self.misspelt(&argv[0])) {
            Some((rule, mismatch)) => self.not_quite(rule, &mismatch, argv),
            None => self.unknown_tool(&argv[0]),
        }
    }

    fn allowed_by(&self, rule: &AllowRule) -> Admission {
        let head = &rule.head;
        let message = format!("rule `{}` ({}) allows it", head.full_id, head.location);
        Admission {
            verdict: verdict(Decision::Allow, reason(head, message, None), self.digest()),
            rule: Some(rule_ref(head, rule.runs_repository_code)),
            nearest: None,
            by_work_tree: false,
        }
    }

    fn denied_by(&self, rule: &DenyRule, argv: &[String]) -> Admission {
        let head = &rule.head;
        let why = head.note.as_deref().unwrap_or("denied");
        let message = format!(
            "`{}` is denied by rule `{}` ({}): {why}",
            show(&argv[0]),
            head.full_id,
            head.location
        );
        Admission {
            verdict: verdict(Decision::Deny, reason(head, message, None), self.digest()),
            rule: Some(rule_ref(head, false)),
            nearest: None,
            by_work_tree: false,
        }
    }

    fn not_quite(&self, rule: &AllowRule, mismatch: &Mismatch<'_>, argv: &[String]) -> Admission {
        let head = &rule.head;
        let message = parting(head, mismatch, argv);
        let expected = mismatch.expected.describe();
        let hint = format!("give {}", cut(&expected, 400));
        Admission {
            verdict: verdict(Decision::Deny, reason(head, message, Some(hint)), self.digest()),
            rule: None,
            nearest: Some(Nearest {
                rule_id: head.full_id.clone(),
                location: head.location.clone(),
                argument_index: mismatch.argument_idx,
                expected,
            }),
            by_work_tree: false,
        }
    }

    fn unknown_tool(&self, tool: &str) -> Admission {
        let message = format!("no rule of lane `{}` allows the tool `{}`", self.name(), show(tool));
        let hint = format!("use one of the lane's tools: {}", self.tools().join(", "));
        self.deny(self.plain_reason("no-rule", message, Some(hint)))
    }

    fn deny(&self, reason: Reason) -> Admission {
        let verdict = verdict(Decision::Deny, reason, self.digest());
        Admission { verdict, rule: None, nearest: None, by_work_tree: false }
    }

    fn plain_reason(&self, id: &str, message: String, hint: Option<String>) -> Reason {
        Reason { rule: format!("{}/{id}", self.name()), rule_location: None, message, hint }
    }

    /// Finds a rule for a tool whose name is at most two keystrokes away.
    fn misspelt(&self, tool: &str) -> Option<(&AllowRule, Mismatch<'_>)> {
        let near = self.tools().iter().map(|name| (n_edits(tool, name), name));
        let near = near.filter(|(n_edits, name)| *n_edits <= 2 && *n_edits < name.len().min(3));
        let (_, name) = near.min_by_key(|(n_edits, _)| *n_edits)?;
        let rule = self.allow_rules().iter().find(|rule| rule.is_for(name))?;
        let expected = Expected::Tool(name.clone());
        Some((rule, Mismatch { argument_idx: 0, expected, kind: MismatchKind::Differs }))
    }
}

/// Tells whether `name` is a tool's name and nothing that a kernel or a shell would take for a path.
pub(crate) fn is_bare_tool_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let inner = |byte: u8| word(byte) || b".+-".contains(&byte);
    name.len() <= 128 && name.bytes().next().is_some_and(word) && name.bytes().all(inner)
}

/// Says how an argument vector is longer than any lane admits; `None` where it is not.
///
/// It costs next to nothing: whoever would look into the arguments asks this first.
pub fn too_long(argv: &[String]) -> Option<String> {
    if argv.len() > ARGUMENTS_MAX {
        return Some(format!("{} arguments are more than {ARGUMENTS_MAX}", argv.len()));
    }
    let n_bytes = argv.iter().map(String::len).fold(0usize, usize::saturating_add);
    if n_bytes > ARGV_BYTES_MAX {
        return Some(format!("{n_bytes} bytes of arguments are more than {ARGV_BYTES_MAX}"));
    }
    None
}

fn malformed(argv: &[String]) -> Option<String> {
    if argv.is_empty() {
        return Some("the argument vector is empty".to_owned());
    }
    if let Some(message) = too_long(argv) {
        return Some(message);
    }
    let idx = argv.iter().position(|argument| argument.contains('\0'))?;
    Some(format!("argument {} has a NUL byte", idx + 1))
}

fn parting(head: &Head, mismatch: &Mismatch<'_>, argv: &[String]) -> String {
    let number = mismatch.argument_idx + 1;
    let rule = format!("rule `{}` ({})", head.full_id, head.location);
    let argument = argv.get(mismatch.argument_idx).map(|argument| show(argument));
    let argument = argument.unwrap_or_default();
    let expected = || cut(&mismatch.expected.describe(), 400);
    match mismatch.kind {
        MismatchKind::NoSuchOption => {
            format!("argument {number} `{argument}` is not an option of {rule}")
        }
        MismatchKind::TooMany => {
            format!("argument {number} `{argument}` is one too many for {rule}")
        }
        MismatchKind::Missing => {
            format!("argument {number} is missing: {rule} expects {}", expected())
        }
        MismatchKind::Differs => {
            format!("argument {number} `{argument}` is not what {rule} expects: {}", expected())
        }
    }
}

fn reason(head: &Head, message: String, hint: Option<String>) -> Reason {
    let rule_location = Some(head.location.clone());
    Reason { rule: head.full_id.clone(), rule_location, message, hint }
}

fn rule_ref(head: &Head, runs_repository_code: bool) -> RuleRef {
    let (id, location) = (head.full_id.clone(), head.location.clone());
    RuleRef { id, location, runs_repository_code }
}

fn verdict(decision: Decision, reason: Reason, policy_digest: Digest) -> Verdict {
    Verdict { decision, reasons: vec![reason], policy_digest }
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Levenshtein distance in bytes; names over 32 bytes are far from everything.
fn n_edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > 32 || b.len() > 32 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
