//! What is looked for in a text beside what the rules say: personal data, and values that are known by name.

use std::ops::Range;

use crate::{
    known::KnownValues,
    personal::{self, Kind, Profile, Tier},
    reading::{Place, Step},
};

/// What to look for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside<'b> {
    pub(crate) personal: Option<(Profile, Tier)>,
    pub(crate) known: Option<&'b KnownValues>,
}

/// What was met.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// The value with this index.
    Known(usize),
    /// Personal data.
    Personal(Kind, Tier),
}

/// Something met in some reading of a text.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    pub(crate) what: What,
    /// Where it stands in the text: itself, or what encodes it.
    pub(crate) region: Range<usize>,
    /// The value, decoded; `None` when it stands there as it is.
    pub(crate) decoded: Option<Vec<u8>>,
    /// How the text is read to meet it, the first step first.
    pub(crate) steps: Vec<Step>,
}

impl Beside<'_> {
    /// Adds what stands in `text` to `asides`. Personal data is looked for where `is_text` says so: noise meets it as well.
    pub(crate) fn look(&self, text: &[u8], place: Place, is_text: bool, asides: &mut Vec<Aside>) {
        let mut add = |what, region| {
            asides.push(Aside { what, region, decoded: None, steps: vec![] });
        };
        if let Some(known) = self.known {
            known.each_in(text, &mut |region, name_idx| add(What::Known(name_idx), region));
        }
        if let Some((profile, tier)) = self.personal.filter(|_| is_text) {
            let met = personal::find(text, place == Place::Beginning, profile, tier);
            met.into_iter().for_each(|it| add(What::Personal(it.kind, it.tier), it.range));
        }
    }
}

impl Aside {
    /// Turns what was met in a reading of a text into what was met in the text.
    pub(crate) fn further(&mut self, reading: &[u8], region: Range<usize>, step: Step) {
        if self.decoded.is_none() {
            self.decoded = Some(reading[self.region.clone()].to_vec());
        }
        self.region = region;
        self.steps.insert(0, step);
    }
}

/// Values at one place that an encoded run is compared with.
const COMPARED_MAX: usize = 64;

/// Of what was met (sorted by region), drops encoded runs in which the same known value was met exactly.
pub(crate) fn retain_exact(asides: &mut Vec<Aside>) {
    let known = |it: &Aside| match it.what {
        What::Known(name_idx) => Some((it.region.clone(), name_idx)),
        What::Personal(..) => None,
    };
    let exact: Vec<(Range<usize>, usize)> =
        asides.iter().filter(|it| it.decoded.is_none()).filter_map(known).collect();
    let is_exact_in = |run: &Range<usize>, name_idx: usize| {
        let from = exact.partition_point(|it| it.0.start < run.start);
        let inside = exact[from..].iter().take_while(|it| it.0.start < run.end);
        inside.take(COMPARED_MAX).any(|it| it.1 == name_idx && it.0.end <= run.end)
    };
    asides.retain(|it| {
        let run = known(it).filter(|_| it.decoded.is_some());
        run.is_none_or(|(run, name_idx)| !is_exact_in(&run, name_idx))
    });
}
