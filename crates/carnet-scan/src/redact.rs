//! Text with its secrets, known values and personal data replaced by names.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use carnet_core::{Confidence, Region};

use crate::{
    beside::{Beside, What},
    frame::{Frame, LAYOUT},
    known::KnownValues,
    near,
    overlap::Rank,
    personal::{Profile, Tier},
    reading::{self, Readings},
    rule_set::RuleSet,
    scan::{joined, rank},
    stream::StreamRedactor,
    tokens::{RedactionMap, Tokens},
};

/// Passes of redaction; the last finds nothing, or the text is given up.
pub(crate) const PASSES_MAX: usize = 4;
/// What stands for a text in which each pass finds something new.
const UNSETTLED: &str = "unsettled-text";
/// What stands for a text, from the frame on of which not all could be examined.
const UNEXAMINED: &str = "unexamined-text";
/// How what stands for something begins.
pub(crate) const TOKEN_START: &[u8] = b"[REDACTED:";

/// Why regions cannot be redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// A region ends before it starts, starts before the end of the one before it, or ends after the text.
    #[error("region number {number} (`{start}..{end}`) is out of order or out of bounds")]
    Region {
        /// Position in the list, from 1.
        number: usize,
        /// Its first byte.
        start: usize,
        /// One past its last byte.
        end: usize,
    },
    /// A name holds a byte that would break the frame: `[`, `]` or a control byte; or it is empty.
    #[error("name number {number} does not fit into `[REDACTED:NAME]`")]
    Name {
        /// Position in the list, from 1.
        number: usize,
    },
}

/// Returns `text` with every region replaced by `[REDACTED:NAME]`.
///
/// - `text`: UTF-8 or not, any length in bytes, left untouched outside the regions.
/// - `regions`: each with its name; sorted by start, not overlapping. Only the byte offsets count.
///
/// # Errors
///
/// [`RedactError`] names the first region that is out of order or out of bounds; no partly redacted text is
/// ever returned.
///
/// # Source
///
/// Regions are byte ranges as in SARIF 2.1.0 §3.30 (`byteOffset`, `byteLength`).
pub fn redact(text: &[u8], regions: &[(Region, &str)]) -> Result<Vec<u8>, RedactError> {
    let mut redacted = Vec::with_capacity(text.len());
    let mut copied = 0;
    for (idx, (region, name)) in regions.iter().enumerate() {
        let (number, start, end) = (idx + 1, region.start, region.end);
        if start < copied || end < start || end > text.len() {
            return Err(RedactError::Region { number, start, end });
        }
        let breaks = |c: char| c.is_control() || c == '[' || c == ']';
        if name.is_empty() || name.contains(breaks) {
            return Err(RedactError::Name { number });
        }
        redacted.extend_from_slice(&text[copied..start]);
        put_token(name, &mut redacted);
        copied = end;
    }
    redacted.extend_from_slice(&text[copied..]);
    Ok(redacted)
}

/// Appends `[REDACTED:NAME]`.
pub(crate) fn put_token(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(TOKEN_START);
    out.extend_from_slice(name.as_bytes());
    out.push(b']');
}

/// What is replaced in texts on their way out: what rules meet, values known by name, and personal data from a tier on.
#[derive(Debug)]
pub struct Redactor<'r> {
    rules: &'r RuleSet,
    personal: Option<Tier>,
    known: KnownValues,
}

/// What was replaced in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replaced {
    /// How often each name stands for something, by name.
    pub by_name: BTreeMap<String, usize>,
}

impl Replaced {
    /// Returns how many places were replaced.
    pub fn n(&self) -> usize {
        self.by_name.values().sum()
    }
}

impl<'r> Redactor<'r> {
    /// Replaces what the rules meet.
    pub fn new(rules: &'r RuleSet) -> Redactor<'r> {
        Redactor { rules, personal: None, known: KnownValues::default() }
    }

    /// Replaces personal data too, that is at least so sure.
    #[must_use]
    pub fn with_personal(self, at: Confidence) -> Redactor<'r> {
        Redactor { personal: Some(Tier::of(at)), ..self }
    }

    /// Replaces known values too, by their names.
    #[must_use]
    pub fn with_known(self, known: KnownValues) -> Redactor<'r> {
        Redactor { known, ..self }
    }

    /// Returns `text` with everything replaced that was met.
    ///
    /// Unlike [`scan`](crate::scan()), this replaces all that any rule met: what shares bytes is replaced together, under the
    /// name of the known value in it, else the id of the most specific rule; and `carnet:allow` has no say, because who
    /// writes a text does not decide what may leave. What stands in an encoded run, or in an archive, takes the whole run or
    /// archive with it, but for known values, whose encodings are known. The same bytes keep the name they got first.
    /// The result holds nothing more to find: redacting it again changes nothing.
    ///
    /// A text of which not all could be examined is replaced by `[REDACTED:unexamined-text]`, from that frame on.
    /// A text that keeps giving rise to new findings is replaced by `[REDACTED:unsettled-text]`, from the frame on
    /// where it does: whole, when it has up to 4 MiB.
    pub fn redact(&self, text: &[u8]) -> (Vec<u8>, Replaced) {
        let mut stream = self.stream();
        let mut redacted = Vec::with_capacity(text.len());
        stream.push(text, &mut redacted);
        let done = stream.finish(&mut redacted);
        (redacted, done.replaced)
    }

    /// Begins a text that arrives in chunks.
    pub fn stream(&self) -> StreamRedactor<'_> {
        StreamRedactor::with_layout(self, None, LAYOUT)
    }

    /// The same, and `map` will hold what stands for what: [`Rehydrator`](crate::Rehydrator) takes it back.
    pub fn stream_with(&self, map: RedactionMap) -> StreamRedactor<'_> {
        StreamRedactor::with_layout(self, Some(map), LAYOUT)
    }

    fn beside(&self) -> Beside<'_> {
        let personal = self.personal.map(|tier| (Profile::Outbound, tier));
        Beside { personal, known: (!self.known.is_empty()).then_some(&self.known) }
    }

    /// Returns the joined regions of all that was met, each with the name that says most.
    fn named(&self, readings: &Readings<'_>) -> Vec<(Range<usize>, &str)> {
        let hits = readings.hits.iter().map(|hit| {
            let rule = &self.rules.rules()[hit.rule_idx];
            (
                hit.region.clone(),
                Named::Rule(rank(rule, &hit.region, &hit.secret)),
                rule.id.as_str(),
            )
        });
        let asides = readings.asides.iter().map(|it| {
            let len = Reverse(it.region.len());
            match it.what {
                What::Known(name_idx) => {
                    (it.region.clone(), Named::Known(len), self.known.names()[name_idx].as_str())
                }
                What::Personal(kind, tier) => {
                    (it.region.clone(), Named::Personal(Reverse(tier), len), kind.id)
                }
            }
        });
        let mut met: Vec<(Range<usize>, Named<'_>, &str)> = hits.chain(asides).collect();
        met.sort_by_key(|it| (it.0.start, it.0.end));
        let regions = joined(met.iter().map(|it| it.0.clone()).collect());
        let mut met = met.into_iter().peekable();
        let best = regions.into_iter().map(|region| {
            let mut best: Option<(Named<'_>, &str)> = None;
            while let Some((_, rank, name)) = met.next_if(|it| it.0.start < region.end) {
                if best.as_ref().is_none_or(|best| (&rank, name) < (&best.0, best.1)) {
                    best = Some((rank, name));
                }
            }
            (region, best.map_or("secret", |it| it.1))
        });
        best.collect()
    }
}

/// What decides the name of a region; the smaller wins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Named<'r> {
    Known(Reverse<usize>),
    Rule(Rank<'r>),
    Personal(Reverse<Tier>, Reverse<usize>),
}

/// Where a pass looks in a frame.
#[derive(Debug)]
pub(crate) enum Look {
    Nowhere,
    /// Around tokens, by where they begin in the frame.
    Near(Vec<usize>),
    Everywhere,
}

/// One pass of redaction over the frames of a text.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The last pass gives a text up in which there is still something to find.
    is_last: bool,
    /// The first pass, 0, sees the text as it came.
    idx: u8,
    has_given_up: bool,
    /// How far the text is put out or replaced.
    done_to: usize,
    /// Bytes handed on to the next pass.
    n_out: usize,
    /// Where tokens begin in what is put out now, counted from the beginning of all that is.
    touched: Vec<usize>,
    /// Where the rest of a text goes that was given up, when all is to be kept.
    rest: Option<usize>,
}

impl Pass {
    pub(crate) fn new(pass_idx: usize) -> Pass {
        Pass {
            is_last: pass_idx + 1 == PASSES_MAX,
            idx: pass_idx as u8,
            has_given_up: false,
            done_to: 0,
            n_out: 0,
            touched: vec![],
            rest: None,
        }
    }

    /// Notes that what a frame gave is handed on, and returns where tokens begin in it.
    pub(crate) fn hand_on(&mut self, passed: &[u8]) -> Vec<usize> {
        self.n_out += passed.len();
        std::mem::take(&mut self.touched)
    }

    /// Puts out the core of `frame`, redacted, to `out`, which is empty; what begins in it is replaced whole.
    ///
    /// `look` tells where there may be something to find.
    pub(crate) fn redact_frame(
        &mut self,
        redactor: &Redactor<'_>,
        frame: &Frame<'_>,
        look: &Look,
        tokens: &mut Tokens,
        out: &mut Vec<u8>,
    ) {
        if self.has_given_up {
            return self.put_away(frame, tokens);
        }
        let beside = redactor.beside();
        let readings = match look {
            Look::Nowhere => return self.put_out(frame, frame.offset + frame.core.end, out),
            Look::Near(tokens) => near::read(redactor.rules, beside, frame, tokens),
            Look::Everywhere => reading::read(redactor.rules, beside, frame.bytes, frame.place()),
        };
        if !readings.unread.is_empty() || frame.is_cut_archive() {
            return self.give_up(frame, UNEXAMINED, tokens, out);
        }
        let mut named = redactor.named(&readings);
        if self.idx == 0 {
            tokens.add_literals(frame.bytes, &mut named);
        }
        for (region, name) in named {
            let (start, end) = (frame.offset + region.start, frame.offset + region.end);
            if end <= self.done_to || region.start >= frame.core.end {
                continue;
            }
            if self.is_last {
                return self.give_up(frame, UNSETTLED, tokens, out);
            }
            self.put_out(frame, start, out);
            self.touched.push(self.n_out + out.len());
            let value = &frame.bytes[self.done_to - frame.offset..region.end];
            tokens.put(name, value, self.idx, out);
            self.done_to = end;
        }
        self.put_out(frame, frame.offset + frame.core.end, out);
    }

    /// Replaces all that was not put out yet.
    fn give_up(&mut self, frame: &Frame<'_>, name: &str, tokens: &mut Tokens, out: &mut Vec<u8>) {
        self.has_given_up = true;
        self.touched.push(self.n_out + out.len());
        self.rest = tokens.put_rest(name, self.idx, out);
        self.put_away(frame, tokens);
    }

    fn put_away(&mut self, frame: &Frame<'_>, tokens: &mut Tokens) {
        let end = frame.offset + frame.core.end;
        if end > self.done_to {
            let bytes = &frame.bytes[self.done_to - frame.offset..end - frame.offset];
            tokens.keep_rest(self.rest, bytes);
            self.done_to = end;
        }
    }

    /// Copies what lies between what is done and `end`.
    fn put_out(&mut self, frame: &Frame<'_>, end: usize, out: &mut Vec<u8>) {
        if end > self.done_to {
            out.extend_from_slice(&frame.bytes[self.done_to - frame.offset..end - frame.offset]);
            self.done_to = end;
        }
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
