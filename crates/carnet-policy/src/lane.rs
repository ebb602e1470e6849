//! One lane: its rules, limits, hidden files and environment, read from text.
//!
//! Invariant: a [`Lane`] exists only if nothing at all is wrong with its file and with the shared deny list,
//! and every example in it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use carnet_core::{Decision, Digest, Digester, HostPort, LaneName, OutputRule, Quota, Required};

use crate::{
    Admission,
    caches::{self, LaneCache},
    changes::{self, Changes},
    environment, floor,
    hidden::{ALWAYS_HIDDEN, HiddenFiles, check_glob},
    network, outputs,
    problem::{PolicyProblem, Problems},
    reader::{self, TableReader},
    rule::{self, AllowRule, DenyRule, Reading},
    shadow,
};

/// The value of `format`, and the first field of a lane's digest.
pub(crate) const FORMAT: &str = "carnet/allowlist/1";
/// Most rules of one kind in one file.
const RULES_MAX: usize = 2000;
const MIB: u64 = 1 << 20;

/// A class of work with its allowlist and quotas.
#[derive(Debug, Clone)]
pub struct Lane {
    name: LaneName,
    description: String,
    digest: Digest,
    quota: Quota,
    hidden: Arc<HiddenFiles>,
    changes: Changes,
    classes: Vec<OutputRule>,
    required: Vec<Required>,
    toolchains: Vec<String>,
    network: Vec<HostPort>,
    caches: Vec<LaneCache>,
    environment: BTreeMap<String, String>,
    shared_deny: Arc<DenyList>,
    deny: Vec<DenyRule>,
    allow: Vec<AllowRule>,
    tools: Vec<String>,
    /// What a work tree adds: it must admit as well.
    tightening: Option<Box<Lane>>,
}

/// The shared list of denials.
#[derive(Debug, Default)]
pub(crate) struct DenyList {
    rules: Vec<DenyRule>,
    text: String,
}

/// One rule, for people who ask what a lane permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOutline {
    /// Lane and id: `code-impl/cargo-test`; `deny/…` for the shared list.
    pub id: String,
    /// `allowlists/code-impl.toml:41`.
    pub location: String,
    /// Allow or deny.
    pub decision: Decision,
    /// `argv` as it stands in the file.
    pub argv: Vec<String>,
    /// Whether a run may execute what the repository contains; false for denials.
    pub runs_repository_code: bool,
    /// The note, or the reason of a denial.
    pub note: Option<String>,
}

impl Lane {
    /// Reads a lane from the text of its file and of the shared deny list.
    ///
    /// - `file`, `deny_file`: names for messages; the last component of `file` without `.toml` is the lane.
    ///
    /// # Errors
    ///
    /// Every [`PolicyProblem`] of both files, in the order of their lines; never an empty list.
    pub fn parse(
        (file, text): (&str, &str),
        (deny_file, deny_text): (&str, &str),
    ) -> Result<Lane, Vec<PolicyProblem>> {
        let deny = DenyList::parse(deny_file, deny_text, false)?;
        Lane::parse_with(file, text, Arc::new(deny), false)
    }

    pub(crate) fn parse_with(
        file: &str,
        text: &str,
        shared_deny: Arc<DenyList>,
        is_known_sound: bool,
    ) -> Result<Lane, Vec<PolicyProblem>> {
        let mut problems = Problems::new(file, text);
        let lane = read_lane(text, shared_deny, is_known_sound, &mut problems);
        if let Some(lane) = lane.as_ref().filter(|_| !is_known_sound) {
            lane.check_duplicates_and_shadows(&mut problems);
            lane.check_examples(&mut problems);
        }
        match lane {
            Some(lane) if problems.is_empty() => Ok(lane),
            _ => Err(problems.finish()),
        }
    }

    /// Returns the lane's name.
    pub fn name(&self) -> &LaneName {
        &self.name
    }

    /// Returns what the lane is for, in a sentence.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns the digest of the lane's text together with the shared deny list.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns what a run of the lane is granted.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Returns which files no run of the lane may see.
    pub fn hidden(&self) -> &Arc<HiddenFiles> {
        &self.hidden
    }

    /// Returns what the lane says about changing files of the work tree.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Returns how a replay compares the outputs of the lane's runs; the first glob that fits decides.
    pub fn classes(&self) -> &[OutputRule] {
        &self.classes
    }

    /// Returns the layers of confinement without which this admitted command may not start: the lane's, and those that a
    /// rule demands because it runs the repository's own code.
    pub fn required_for(&self, admission: &Admission) -> Vec<Required> {
        match &admission.rule {
            Some(rule) if rule.runs_repository_code => {
                floor::union(&self.required, &floor::strict())
            }
            _ => self.required.clone(),
        }
    }

    /// Returns the toolchains that its runs see where this machine has them: names such as `rust`.
    pub fn toolchains(&self) -> &[String] {
        &self.toolchains
    }

    /// Returns the hosts that its runs may reach, through the supervisor's proxy.
    pub fn network(&self) -> &[HostPort] {
        &self.network
    }

    /// Returns the directories that its runs find again.
    pub fn caches(&self) -> &[LaneCache] {
        &self.caches
    }

    /// Returns this lane as a work tree tightens it: both must admit, the smaller limit counts, what either hides is
    /// hidden, what either requires is required, hosts that both name can be reached, caches and toolchains that both name are there. The environment and the classes of
    /// outputs stay this lane's.
    #[must_use]
    pub fn tightened_by(mut self, mut other: Lane) -> Lane {
        let mut digester = Digester::new();
        digester.field(b"carnet/tightened/1").field(self.digest.as_bytes());
        digester.field(other.digest.as_bytes());
        self.digest = digester.finish();
        other.digest = self.digest;
        self.quota = least(self.quota, other.quota);
        let globs = self.hidden.globs().iter().chain(other.hidden.globs());
        let mut globs: Vec<String> = globs.cloned().collect();
        let mut seen = BTreeSet::new();
        globs.retain(|glob| seen.insert(glob.clone()));
        self.hidden = Arc::new(HiddenFiles::new(globs));
        self.changes = self.changes.tightened_by(&other.changes);
        self.required = floor::union(&self.required, &other.required);
        self.toolchains.retain(|name| other.toolchains.contains(name));
        self.network = network::common(&self.network, &other.network);
        self.caches = caches::common(&self.caches, &other.caches);
        self.tightening = Some(Box::new(other));
        self
    }

    /// Returns what a work tree adds, where one does.
    pub fn tightening(&self) -> Option<&Lane> {
        self.tightening.as_deref()
    }

    /// Returns the whole environment of a run, by name.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Returns every rule: the shared denials, the lane's denials, then what it allows, in the order of the files.
    pub fn rules(&self) -> Vec<RuleOutline> {
        let denials = self.denials().map(|rule| outline(&rule.head, Decision::Deny, false));
        let allowed = self.allow.iter();
        let allowed =
            allowed.map(|rule| outline(&rule.head, Decision::Allow, rule.runs_repository_code));
        denials.chain(allowed).collect()
    }

    /// Returns how many examples the lane and the shared denials carry.
    pub fn n_examples(&self) -> usize {
        let heads = self.denials().map(|rule| &rule.head);
        let heads = heads.chain(self.allow.iter().map(|rule| &rule.head));
        heads.map(|head| head.examples.matching.len() + head.examples.not_matching.len()).sum()
    }

    /// Returns the tools that some rule allows in some form, sorted, each once.
    pub fn tools(&self) -> &[String] {
        &self.tools
    }

    pub(crate) fn denials(&self) -> impl Iterator<Item = &DenyRule> {
        self.shared_deny.rules.iter().chain(&self.deny)
    }

    pub(crate) fn allow_rules(&self) -> &[AllowRule] {
        &self.allow
    }

    fn check_duplicates_and_shadows(&self, problems: &mut Problems<'_>) {
        let own = self.deny.iter().map(|rule| &rule.head);
        check_ids(own.chain(self.allow.iter().map(|rule| &rule.head)), problems);
        check_denials(&self.deny, &self.shared_deny.rules, problems);
        for (idx, rule) in self.allow.iter().enumerate() {
            let denial = self.denials().find(|deny| shadow::deny_covers_allow(deny, rule));
            let earlier = self.allow[..idx].iter();
            let earlier = earlier
                .filter(|earlier| shadow::allow_covers_allow(earlier, rule))
                .map(|rule| &rule.head);
            if let Some(head) = denial.map(|rule| &rule.head).into_iter().chain(earlier).next() {
                shadowed(rule.head.line, "allow", head, problems);
            }
        }
    }

    fn check_examples(&self, problems: &mut Problems<'_>) {
        check_deny_examples(&self.deny, problems);
        for rule in &self.allow {
            for argv in &rule.head.examples.matching {
                let admission = self.admit(argv);
                let by = admission.rule.as_ref().map(|by| by.id.as_str());
                if by == Some(rule.head.full_id.as_str()) {
                    continue;
                }
                let why = admission.verdict.reasons.iter().map(|reason| reason.message.as_str());
                let why = why.collect::<Vec<_>>().join("; ");
                let message = format!("{} is not admitted by this rule: {why}", show_argv(argv));
                problems.add_at_line(rule.head.line, "allow.match", message);
            }
            for argv in &rule.head.examples.not_matching {
                if rule.matches(argv).is_ok() {
                    let message = format!("{} is matched by this rule", show_argv(argv));
                    problems.add_at_line(rule.head.line, "allow.not_match", message);
                }
            }
        }
    }
}

impl DenyList {
    pub(crate) fn parse(
        file: &str,
        text: &str,
        is_known_sound: bool,
    ) -> Result<DenyList, Vec<PolicyProblem>> {
        let mut problems = Problems::new(file, text);
        let rules = read_deny_list(text, is_known_sound, &mut problems).unwrap_or_default();
        if !is_known_sound {
            check_ids(rules.iter().map(|rule| &rule.head), &mut problems);
            check_denials(&rules, &[], &mut problems);
            check_deny_examples(&rules, &mut problems);
        }
        if problems.is_empty() {
            Ok(DenyList { rules, text: text.to_owned() })
        } else {
            Err(problems.finish())
        }
    }
}

/// Returns the last component of a file's name without `.toml`; `None` for other files.
pub(crate) fn stem(file: &str) -> Option<&str> {
    file.rsplit('/').next().unwrap_or(file).strip_suffix(".toml")
}

fn read_lane(
    text: &str,
    shared_deny: Arc<DenyList>,
    is_known_sound: bool,
    problems: &mut Problems<'_>,
) -> Option<Lane> {
    let document = reader::parse_document(text, problems)?;
    let mut table = TableReader::new(document.get_ref(), 0..0, "");
    let (name, description) = read_preamble(&mut table, problems);
    let name = name.unwrap_or_default();
    let quota = table.table("limits", problems).and_then(|limits| read_limits(limits, problems));
    let hidden = table.table_if_any("files", problems);
    let hidden = Arc::new(read_hidden(hidden, problems));
    let changes = table.table_if_any("changes", problems);
    let changes = changes::read(changes, problems);
    let classes = table.table_if_any("outputs", problems);
    let classes = outputs::read(classes, problems);
    let sandbox = table.table_if_any("sandbox", problems);
    let (required, toolchains) = floor::read(sandbox, problems);
    let hosts = table.table_if_any("network", problems);
    let network = network::read(hosts, problems);
    let variables = table.table_if_any("environment", problems);
    let environment = read_environment(variables, problems);
    let tables = table.tables("cache", problems);
    let caches = caches::read(tables, &environment, problems);
    let reading = Reading { lane: &name, hidden: Arc::clone(&hidden), is_known_sound };
    let deny = read_denials(&reading, &mut table, problems);
    let mut tables = table.tables("allow", problems);
    bound(&mut tables, "allow", problems);
    let allow = tables.into_iter().filter_map(|table| rule::parse_allow(&reading, table, problems));
    let allow: Vec<AllowRule> = allow.collect();
    let mut tools: Vec<_> = allow.iter().flat_map(AllowRule::tools).collect();
    tools.sort();
    tools.dedup();
    table.finish(problems);
    let digest = digest_of(text, &shared_deny.text);
    Some(Lane {
        name: LaneName::new(&name).ok()?,
        description: description?,
        digest,
        quota: quota?,
        hidden,
        changes,
        classes,
        required,
        toolchains,
        network,
        caches,
        environment,
        shared_deny,
        deny,
        allow,
        tools,
        tightening: None,
    })
}

/// Returns the digest of a lane by its text and that of the shared deny list.
pub(crate) fn digest_of(text: &str, deny_text: &str) -> Digest {
    let mut digester = Digester::new();
    digester.field(FORMAT.as_bytes()).field(text.as_bytes()).field(deny_text.as_bytes());
    digester.finish()
}

fn read_deny_list(
    text: &str,
    is_known_sound: bool,
    problems: &mut Problems<'_>,
) -> Option<Vec<DenyRule>> {
    let document = reader::parse_document(text, problems)?;
    let mut table = TableReader::new(document.get_ref(), 0..0, "");
    let (name, _) = read_preamble(&mut table, problems);
    if name.is_some_and(|name| name != "deny") {
        problems.add(&(0..0), "lane", "the shared list is called `deny`");
    }
    let reading = Reading { lane: "deny", hidden: Arc::default(), is_known_sound };
    let rules = read_denials(&reading, &mut table, problems);
    table.finish(problems);
    Some(rules)
}

/// Reads format, name and description, and holds the name against the file's.
fn read_preamble(
    table: &mut TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> (Option<String>, Option<String>) {
    table.format(FORMAT, problems);
    let name = table.string("lane", problems).filter(|name| {
        let wrong = match LaneName::new(&name.value) {
            Err(_) => Some("must be 1 to 64 of `a-z`, `0-9` and inner `-`".to_owned()),
            Ok(_) if name.value == "findings" => Some("`findings` is no lane".to_owned()),
            Ok(_) if stem(problems.file()) == Some(&name.value) => None,
            Ok(_) => Some(format!("`{}` does not stand in `{}.toml`", name.value, name.value)),
        };
        if let Some(message) = &wrong {
            problems.add(&name.span, "lane", message.clone());
        }
        wrong.is_none()
    });
    let description = table.string("description", problems);
    (name.map(|name| name.value), description.map(|description| description.value))
}

fn read_limits(mut limits: TableReader<'_, '_>, problems: &mut Problems<'_>) -> Option<Quota> {
    let cpu_pct = limits.integer("max_cpu_pct", (1, 100), problems);
    let memory_mib = limits.integer("max_mem_mb", (16, 1 << 20), problems);
    let wall_secs = limits.integer("max_exec_seconds", (1, 86_400), problems);
    let parallel = limits.integer("max_parallel", (1, 256), problems);
    let processes = limits.integer("max_processes", (1, 65_536), problems);
    let disk_mib = limits.integer("max_disk_mb", (1, 1 << 20), problems);
    let output_mib = limits.integer("max_output_mb", (1, 4096), problems);
    limits.finish(problems);
    Some(Quota {
        cpu_pct: u32::try_from(cpu_pct?).ok()?,
        memory_bytes: memory_mib? * MIB,
        wall_ms: wall_secs? * 1000,
        processes: u32::try_from(processes?).ok()?,
        disk_bytes: disk_mib? * MIB,
        output_bytes: output_mib? * MIB,
        parallel: u32::try_from(parallel?).ok()?,
    })
}

fn read_hidden(files: Option<TableReader<'_, '_>>, problems: &mut Problems<'_>) -> HiddenFiles {
    let mut hidden: Vec<String> = ALWAYS_HIDDEN.map(str::to_owned).to_vec();
    let Some(mut files) = files else { return HiddenFiles::new(hidden) };
    for glob in files.strings("hidden", problems) {
        if let Err(message) = check_glob(&glob.value) {
            problems.add(&glob.span, "files.hidden", message);
        } else if glob.value.is_empty() || hidden.contains(&glob.value) {
            problems.add(&glob.span, "files.hidden", format!("`{}` adds nothing", glob.value));
        } else {
            hidden.push(glob.value);
        }
    }
    files.finish(problems);
    HiddenFiles::new(hidden)
}

fn least(ours: Quota, theirs: Quota) -> Quota {
    Quota {
        cpu_pct: ours.cpu_pct.min(theirs.cpu_pct),
        memory_bytes: ours.memory_bytes.min(theirs.memory_bytes),
        wall_ms: ours.wall_ms.min(theirs.wall_ms),
        processes: ours.processes.min(theirs.processes),
        disk_bytes: ours.disk_bytes.min(theirs.disk_bytes),
        output_bytes: ours.output_bytes.min(theirs.output_bytes),
        parallel: ours.parallel.min(theirs.parallel),
    }
}

fn read_environment(
    variables: Option<TableReader<'_, '_>>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, String> {
    let pairs = variables.map(|table| table.into_pairs(problems)).unwrap_or_default();
    let mut environment = BTreeMap::new();
    for (name, value) in pairs {
        if let Err(message) = environment::check(&name.value, &value.value) {
            problems.add(&name.span, &format!("environment.{}", name.value), message);
        }
        environment.insert(name.value, value.value);
    }
    environment
}

fn read_denials(
    reading: &Reading<'_>,
    table: &mut TableReader<'_, '_>,
    problems: &mut Problems<'_>,
) -> Vec<DenyRule> {
    let mut tables = table.tables("deny", problems);
    bound(&mut tables, "deny", problems);
    tables.into_iter().filter_map(|table| rule::parse_deny(reading, table, problems)).collect()
}

fn bound(tables: &mut Vec<TableReader<'_, '_>>, field: &str, problems: &mut Problems<'_>) {
    if let Some(first_over) = tables.get(RULES_MAX) {
        problems.add(first_over.span(), field, format!("more than {RULES_MAX} rules"));
        tables.truncate(RULES_MAX);
    }
}

fn check_ids<'r>(heads: impl Iterator<Item = &'r rule::Head>, problems: &mut Problems<'_>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for head in heads {
        if let Some(location) = seen.insert(&head.full_id, &head.location) {
            let message = format!("`{}` stands at {location} as well", head.full_id);
            problems.add_at_line(head.line, "id", message);
        }
    }
}

fn check_denials(rules: &[DenyRule], shared: &[DenyRule], problems: &mut Problems<'_>) {
    for (idx, rule) in rules.iter().enumerate() {
        let mut earlier = shared.iter().chain(&rules[..idx]);
        if let Some(earlier) = earlier.find(|earlier| shadow::deny_covers_deny(earlier, rule)) {
            shadowed(rule.head.line, "deny", &earlier.head, problems);
        }
    }
}

fn check_deny_examples(rules: &[DenyRule], problems: &mut Problems<'_>) {
    for rule in rules {
        let examples = &rule.head.examples;
        for argv in examples.matching.iter().filter(|argv| !rule.matches(argv)) {
            let message = format!("{} is not met by this rule", show_argv(argv));
            problems.add_at_line(rule.head.line, "deny.match", message);
        }
        for argv in examples.not_matching.iter().filter(|argv| rule.matches(argv)) {
            let message = format!("{} is met by this rule", show_argv(argv));
            problems.add_at_line(rule.head.line, "deny.not_match", message);
        }
    }
}

fn shadowed(line: u32, field: &str, by: &rule::Head, problems: &mut Problems<'_>) {
    let message = format!("can never decide: `{}` ({}) always does", by.full_id, by.location);
    problems.add_at_line(line, field, message);
}

fn show_argv(argv: &[String]) -> String {
    let arguments: Vec<_> =
        argv.iter().map(|argument| format!("`{}`", crate::show(argument))).collect();
    format!("example [{}]", arguments.join(", "))
}

fn outline(head: &rule::Head, decision: Decision, runs_repository_code: bool) -> RuleOutline {
    RuleOutline {
        id: head.full_id.clone(),
        location: head.location.clone(),
        decision,
        argv: head.command.clone(),
        runs_repository_code,
        note: head.note.clone(),
    }
}
