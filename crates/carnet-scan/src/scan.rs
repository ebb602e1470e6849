//! One content in, its findings out.

use std::{cmp::Reverse, collections::BTreeSet, ops::Range};

use carnet_core::{Confidence, Content, Finding, Fingerprint, LineIndex, Origin};

use crate::{
    allow::Markers,
    beside::{Beside, What},
    content_class::ContentClass,
    fingerprint::FingerprintKey,
    frame::{Frame, Framer, LAYOUT, LineBase},
    mask::mask,
    overlap::Rank,
    personal::{Profile, Tier},
    quiet::Quiet,
    reading::{self, Readings, described},
    rule::{Matcher, PathMatcher, Rule},
    rule_set::RuleSet,
    unread::Unread,
};

/// What a scan met in one content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Findings that stand, sorted by region (paths first), then by rule id.
    pub findings: Vec<Finding>,
    /// Findings accepted by a `carnet:allow` in the text, in the same order.
    pub allowed: Vec<Allowed>,
    /// What was not examined, each reason once; a content with any is not known to be clean.
    pub unread: Vec<Unread>,
}

/// A finding accepted where it stands, by `carnet:allow <rule-id> <reason>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The finding.
    pub finding: Finding,
    /// The reason given, with invalid UTF-8 replaced.
    pub reason: String,
}

/// Scans one content.
///
/// - Of findings that share bytes the most specific stays: a provider's rule before a generic one, then
///   higher confidence, then higher severity, then the longer region, then the rule id.
/// - Encoded text is decoded, three encodings deep at most: base64, base64url, hexadecimal, percent-encoding,
///   UTF-16, gzip, zip and tar; values split over literals are joined. Such a finding stands where the encoded
///   run or the split value stands, and its description names the way: `AWS access key id (in base64)`. The
///   secrets of one encoded run or archive share its region.
/// - Texts of more than 4 MiB (archives: 16 MiB) are scanned in frames; see `docs/design/scan.md`.
/// - A finding of a path rule has no region; it stands beside findings in the bytes.
/// - A `carnet:allow <rule-id> <reason>` on the line where a secret begins, or the line above, moves the
///   finding of that rule to [`Scan::allowed`]; without a reason it does nothing.
///
/// Any bytes are fine: invalid UTF-8, NULs, lines of any length.
pub fn scan(rules: &RuleSet, key: &FingerprintKey, content: &Content) -> Scan {
    scan_with_proof(rules, key, content).0
}

/// Does what [`scan`] does, and returns besides the proof that lets later versions of the text be looked at where they
/// changed alone, when there is one.
pub fn scan_with_proof(
    rules: &RuleSet,
    key: &FingerprintKey,
    content: &Content,
) -> (Scan, Option<Quiet>) {
    let mut scanning = Scanning::default();
    let mut framer = Framer::new(LAYOUT);
    let mut scan = Scan::default();
    while let Some(frame) = framer.next(&content.bytes, 0, true) {
        scanning.scan_frame(rules, key, &content.origin, &frame, &mut scan);
    }
    (scan, scanning.quiet)
}

/// Returns what a scan of texts from there looks for beside what the rules say.
pub(crate) fn beside_of(origin: &Origin) -> Beside<'static> {
    Beside { personal: Some((Profile::of(origin), Tier::Likely)), known: None }
}

/// What is carried from one frame of a text to the next.
#[derive(Debug, Default)]
pub(crate) struct Scanning {
    lines: LineBase,
    /// End of what is reported so far: nothing that begins before it is reported again.
    reported_to: usize,
    /// Reasons told already.
    unread: BTreeSet<Unread>,
    /// The same as `reported_to`, of personal data.
    personal_to: usize,
    /// Set when the text is one frame and nothing was met in it.
    quiet: Option<Quiet>,
}

impl Scanning {
    /// Adds to `scan` what begins in the core of `frame`; frames come in order.
    pub(crate) fn scan_frame(
        &mut self,
        rules: &RuleSet,
        key: &FingerprintKey,
        origin: &Origin,
        frame: &Frame<'_>,
        scan: &mut Scan,
    ) {
        if frame.offset == 0 {
            let met = path_rules_met(rules, origin, frame);
            scan.findings.extend(met.map(|rule| path_finding(rule, key, origin)));
        }
        let n_before = scan.findings.len();
        let readings = reading::read(rules, beside_of(origin), frame.bytes, frame.place());
        if frame.is_whole() {
            self.quiet = Quiet::of(rules, origin, frame.bytes, &readings);
        }
        self.scan_personal(key, origin, frame, &readings, scan);
        self.scan_bytes(rules, key, origin, frame, readings, scan);
        scan.findings[n_before..].sort_by(|a, b| order(a).cmp(&order(b)));
        self.lines.pass(&frame.bytes[..frame.n_passed]);
    }

    fn scan_bytes(
        &mut self,
        rules: &RuleSet,
        key: &FingerprintKey,
        origin: &Origin,
        frame: &Frame<'_>,
        Readings { hits, asides: _, unread, trace: _ }: Readings<'_>,
        scan: &mut Scan,
    ) {
        let unread = unread.into_iter().chain(frame.is_cut_archive().then_some(Unread::Long));
        scan.unread.extend(unread.filter(|unread| self.unread.insert(*unread)));
        if hits.is_empty() {
            return;
        }
        let lines = LineIndex::new(frame.bytes);
        let secrets: Vec<Range<usize>> = hits.iter().map(|hit| hit.region.clone()).collect();
        let markers = Markers::new(frame.bytes, &lines, &joined(secrets));
        let floor = self.reported_to;
        for hit in reading::most_specific(rules, hits) {
            let start = frame.offset + hit.region.start;
            if !frame.core.contains(&hit.region.start) || start < floor {
                continue;
            }
            let rule = &rules.rules()[hit.rule_idx];
            let region = lines.region(hit.region.start, hit.region.end);
            let reason = markers.reason(&rule.id, region.start_line);
            let finding = Finding {
                rule_id: rule.id.clone(),
                description: hit.description(rule),
                origin: origin.clone(),
                region: Some(self.lines.region(region)),
                severity: rule.severity,
                confidence: confidence(rule, &hit.secret),
                fingerprint: key.fingerprint(&rule.family, &hit.secret),
                masked: mask(&hit.secret),
            };
            self.reported_to = self.reported_to.max(frame.offset + hit.region.end);
            match reason {
                Some(reason) => scan.allowed.push(Allowed { finding, reason }),
                None => scan.findings.push(finding),
            }
        }
    }
}

impl Scanning {
    /// Adds the personal data of the frame that shares no byte with a secret.
    fn scan_personal(
        &mut self,
        key: &FingerprintKey,
        origin: &Origin,
        frame: &Frame<'_>,
        readings: &Readings<'_>,
        scan: &mut Scan,
    ) {
        let is_of_core = |region: &Range<usize>| frame.core.contains(&region.start);
        if !readings.asides.iter().any(|it| is_of_core(&it.region)) {
            return;
        }
        let lines = LineIndex::new(frame.bytes);
        let markers = Markers::new(frame.bytes, &lines, &[]);
        let secrets = joined(readings.hits.iter().map(|hit| hit.region.clone()).collect());
        let (floor, mut last) = (self.personal_to, 0..0);
        let mut told: BTreeSet<Fingerprint> = BTreeSet::new();
        for it in &readings.asides {
            let What::Personal(kind, tier) = it.what else { continue };
            let next = secrets.partition_point(|secret| secret.end <= it.region.start);
            let is_secret = secrets.get(next).is_some_and(|it_| it_.start < it.region.end);
            // The values of one encoded run share its region.
            let is_same_run = it.region == last && it.decoded.is_some();
            let is_told = frame.offset + it.region.start < floor
                || it.region.start < last.end && !is_same_run;
            if !is_of_core(&it.region) || is_secret || is_told {
                continue;
            }
            if !is_same_run {
                told.clear();
            }
            last = it.region.clone();
            self.personal_to = self.personal_to.max(frame.offset + it.region.end);
            let region = lines.region(it.region.start, it.region.end);
            let value = it.decoded.as_deref().unwrap_or(&frame.bytes[it.region.clone()]);
            let fingerprint = key.personal(value);
            if !told.insert(fingerprint) {
                continue;
            }
            let finding = Finding {
                rule_id: kind.id.to_owned(),
                description: described(kind.description, &it.steps),
                origin: origin.clone(),
                region: Some(self.lines.region(region)),
                severity: kind.severity,
                confidence: tier.confidence(),
                fingerprint,
                masked: mask(value),
            };
            match markers.reason(kind.id, region.start_line) {
                Some(reason) => scan.allowed.push(Allowed { finding, reason }),
                None => scan.findings.push(finding),
            }
        }
    }
}

/// Paths come first, then places, each in order.
fn order(finding: &Finding) -> (Option<usize>, Option<usize>, &str) {
    let region = finding.region.as_ref();
    (region.map(|it| it.start), region.map(|it| it.end), &finding.rule_id)
}

/// Returns what decides between this secret and others on the same bytes; the smaller wins.
pub(crate) fn rank<'r>(rule: &'r Rule, region: &Range<usize>, secret: &[u8]) -> Rank<'r> {
    (
        rule.is_generic(),
        Reverse(confidence(rule, secret)),
        Reverse(rule.severity),
        Reverse(region.len()),
        region.start,
        rule.id.as_str(),
    )
}

/// Returns the regions in order, those that share a byte joined.
pub(crate) fn joined(mut regions: Vec<Range<usize>>) -> Vec<Range<usize>> {
    regions.sort_by_key(|region| (region.start, region.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for region in regions {
        match joined.last_mut() {
            Some(last) if region.start < last.end => last.end = last.end.max(region.end),
            _ => joined.push(region),
        }
    }
    joined
}

/// Returns the rule's confidence, or high when the secret's checksum holds.
fn confidence(rule: &Rule, secret: &[u8]) -> Confidence {
    match &rule.matcher {
        Matcher::Content(content) if content.checksum.is_some_and(|sum| sum.holds(secret)) => {
            Confidence::High
        }
        _ => rule.confidence,
    }
}

/// Tells whether a rule looks at the path or name, whatever it says of the content.
pub(crate) fn is_path_looked_at(rules: &RuleSet, origin: &Origin) -> bool {
    let is_of = |rule: &Rule, path| matches!(&rule.matcher, Matcher::Path(matcher) if matcher.matches_path(path));
    path_of(origin).is_some_and(|path| rules.rules().iter().any(|rule| is_of(rule, path)))
}

fn path_rules_met<'r>(
    rules: &'r RuleSet,
    origin: &Origin,
    beginning: &Frame<'_>,
) -> impl Iterator<Item = &'r Rule> {
    let path = path_of(origin);
    rules.rules().iter().filter(move |rule| match (&rule.matcher, path) {
        (Matcher::Path(matcher), Some(path)) => is_path_met(matcher, path, beginning),
        _ => false,
    })
}

/// A content too long for one frame is not excused: it cannot be looked at whole.
fn is_path_met(matcher: &PathMatcher, path: &[u8], beginning: &Frame<'_>) -> bool {
    let is_excused = |class: ContentClass| beginning.is_whole() && class.holds(beginning.bytes);
    matcher.matches_path(path) && !matcher.unless_content.is_some_and(is_excused)
}

/// Returns the path or name that path rules look at; streams have none.
fn path_of(origin: &Origin) -> Option<&[u8]> {
    match origin {
        Origin::Staged(path) | Origin::Committed(path) => Some(path.as_bytes()),
        Origin::File(name) | Origin::Artifact(name) => Some(name.as_bytes()),
        Origin::Message(_) | Origin::Stdin | Origin::Prompt | Origin::Log(_) => None,
    }
}

/// Makes the finding of a path rule: the path stands for the secret, and may be shown.
fn path_finding(rule: &Rule, key: &FingerprintKey, origin: &Origin) -> Finding {
    let path = path_of(origin).unwrap_or_default();
    Finding {
        rule_id: rule.id.clone(),
        description: rule.description.clone(),
        origin: origin.clone(),
        region: None,
        severity: rule.severity,
        confidence: rule.confidence,
        fingerprint: key.fingerprint(&rule.family, path),
        masked: String::from_utf8_lossy(path).into_owned(),
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
