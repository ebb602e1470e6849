//! Finds rules that can never speak, as far as comparing them element by element shows.
//!
//! Sound but not complete: what is reported is shadowed, and a shadow may go unseen where two regular
//! expressions overlap. The examples of a rule catch most of those, as they must be met through the rule.

use crate::{
    element::Element,
    pattern::{Dashes, Opt, Pattern, Tail},
    rule::{AllowRule, DenyRule},
};

/// Tells whether every argument vector that `later` matches is matched by `earlier`.
pub(crate) fn allow_covers_allow(earlier: &AllowRule, later: &AllowRule) -> bool {
    let (ours, theirs) = (&earlier.pattern, &later.pattern);
    all_cover(&ours.lead, &theirs.lead)
        && positionals_cover(ours, theirs)
        && options_cover(&ours.options, &theirs.options)
        && needs_cover(&ours.needs, &theirs.needs)
        && dashes_cover(&ours.dashes, &theirs.dashes)
}

/// Tells whether the denial meets every argument vector that `allow` matches.
pub(crate) fn deny_covers_allow(deny: &DenyRule, allow: &AllowRule) -> bool {
    deny.open
        && deny.with.is_empty()
        && deny.prefix.len() <= allow.pattern.lead.len()
        && deny.prefix.iter().zip(&allow.pattern.lead).all(|(ours, theirs)| denied(ours, theirs))
}

/// Tells whether `earlier` meets every argument vector that `later` meets.
pub(crate) fn deny_covers_deny(earlier: &DenyRule, later: &DenyRule) -> bool {
    let longer = earlier.open && earlier.prefix.len() <= later.prefix.len();
    let same = earlier.open == later.open && earlier.prefix.len() == later.prefix.len();
    let prefix =
        earlier.prefix.iter().zip(&later.prefix).all(|(ours, theirs)| denied(ours, theirs));
    let met = |theirs: &Element| earlier.with.iter().any(|ours| denied(ours, theirs));
    let with =
        earlier.with.is_empty() || (same && !later.with.is_empty() && later.with.iter().all(met));
    (longer || same) && prefix && with
}

/// As [`Element::covers`], where a leading hole may match a leading `-`.
fn denied(ours: &Element, theirs: &Element) -> bool {
    match theirs.words() {
        Some(words) => words.iter().all(|word| ours.matches_dashed(word)),
        None => ours.covers(theirs),
    }
}

fn all_cover(ours: &[Element], theirs: &[Element]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| ours.covers(theirs))
}

fn positionals_cover(ours: &Pattern, theirs: &Pattern) -> bool {
    let n_fixed = ours.fixed.len();
    if theirs.fixed.len() < n_fixed || !all_cover(&ours.fixed, &theirs.fixed[..n_fixed]) {
        return false;
    }
    let more = &theirs.fixed[n_fixed..];
    let Some(tail) = &ours.tail else { return more.is_empty() && theirs.tail.is_none() };
    let n_most = match &theirs.tail {
        Some(Tail { repeated: true, .. }) => usize::MAX,
        Some(_) => more.len() + 1,
        None => more.len(),
    };
    let n_least = more.len() + usize::from(theirs.tail.as_ref().is_some_and(|tail| tail.required));
    let counts = (tail.repeated || n_most <= 1) && (!tail.required || n_least >= 1);
    let tails = theirs.tail.iter().map(|tail| &tail.element);
    counts && more.iter().chain(tails).all(|theirs| tail.element.covers(theirs))
}

fn options_cover(ours: &[Opt], theirs: &[Opt]) -> bool {
    theirs.iter().all(|theirs| {
        ours.iter().any(|ours| {
            let values = match (&ours.value, &theirs.value) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => ours.covers(theirs),
                _ => false,
            };
            values && ours.name.covers(&theirs.name)
        })
    })
}

fn needs_cover(ours: &[Opt], theirs: &[Opt]) -> bool {
    ours.is_empty() || (!theirs.is_empty() && options_cover(ours, theirs))
}

fn dashes_cover(ours: &Dashes, theirs: &Dashes) -> bool {
    match (ours, theirs) {
        (_, Dashes::Refused) | (Dashes::EndOptions, Dashes::EndOptions) => true,
        (
            Dashes::HandOver { options: ours, elements: our_elements },
            Dashes::HandOver { options: theirs, elements: their_elements },
        ) => {
            let covered = |theirs: &Element| our_elements.iter().any(|ours| ours.covers(theirs));
            options_cover(ours, theirs) && their_elements.iter().all(covered)
        }
        _ => false,
    }
}
