//! How an output is compared when its run is done again. What is not declared is compared byte for byte.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How strictly an output must come out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputClass {
    /// Byte for byte; what everything is that nobody declared.
    #[default]
    Exact,
    /// The same bytes after the named [`Normaliser`]s.
    Normalised,
    /// The same data in another writing: JSON whatever the order of members, SQLite whatever the pages.
    Structural,
    /// Never the same: only its presence is compared.
    Nondeterministic,
}

/// One thing that a normalised comparison passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normaliser {
    /// Times, owners and the order of members in gzip, zip, tar and ar; times in Python's byte code.
    Archive,
    /// Dates and times of day in text.
    Dates,
    /// Lengths of time in text, such as `0.52s`.
    Durations,
    /// Memory addresses in text, such as `0x7f21c0`.
    Addresses,
    /// Names that programs give to temporary files, in text, such as `/tmp/tmpx1y2z3w4` and `tmp.Ab3dE5fG7h`.
    TempNames,
    /// The order of lines in text.
    LineOrder,
}

impl Normaliser {
    /// Every normaliser, in the order in which they are applied and recorded.
    pub const ALL: [Normaliser; 6] = [
        Normaliser::Archive,
        Normaliser::Dates,
        Normaliser::Durations,
        Normaliser::Addresses,
        Normaliser::TempNames,
        Normaliser::LineOrder,
    ];
    /// What `normalised` alone means.
    pub const USUAL: [Normaliser; 3] =
        [Normaliser::Archive, Normaliser::Dates, Normaliser::Durations];

    /// Returns the name that people type and passports hold.
    pub fn name(self) -> &'static str {
        match self {
            Normaliser::Archive => "archive",
            Normaliser::Dates => "dates",
            Normaliser::Durations => "durations",
            Normaliser::Addresses => "addresses",
            Normaliser::TempNames => "temp-names",
            Normaliser::LineOrder => "line-order",
        }
    }
}

/// The class of the outputs that a glob names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputRule {
    /// Relative to the workspace; `stdout` and `stderr` are the streams.
    pub glob: String,
    /// How what it names is compared.
    pub class: OutputClass,
    /// What [`OutputClass::Normalised`] passes over, sorted; empty for every other class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normalisers: Vec<Normaliser>,
}

/// Text that declares no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputRuleError {
    /// There is no `=`, or nothing before it.
    #[error("`{0}` is not GLOB=CLASS")]
    Form(String),
    /// The class is unknown.
    #[error(
        "`{0}` is no class: exact, normalised, normalised:RULE+RULE, structural, nondeterministic"
    )]
    Class(String),
    /// The normaliser is unknown.
    #[error("`{0}` is no rule: archive, dates, durations, addresses, temp-names, line-order")]
    Normaliser(String),
}

impl OutputRule {
    /// Parses `GLOB=CLASS`, where CLASS is `exact`, `normalised`, `normalised:RULE+RULE…`, `structural` or
    /// `nondeterministic`. The last `=` parts them.
    ///
    /// # Errors
    ///
    /// [`OutputRuleError`] carries the offending word.
    pub fn parse(text: &str) -> Result<OutputRule, OutputRuleError> {
        let (glob, class) = text
            .rsplit_once('=')
            .filter(|(glob, _)| !glob.is_empty())
            .ok_or_else(|| OutputRuleError::Form(text.to_owned()))?;
        let (class, normalisers) = parse_class(class)?;
        Ok(OutputRule { glob: glob.to_owned(), class, normalisers })
    }
}

fn parse_class(text: &str) -> Result<(OutputClass, Vec<Normaliser>), OutputRuleError> {
    let class = match text {
        "exact" => OutputClass::Exact,
        "structural" => OutputClass::Structural,
        "nondeterministic" => OutputClass::Nondeterministic,
        "normalised" => return Ok((OutputClass::Normalised, Normaliser::USUAL.to_vec())),
        _ => {
            let names = text
                .strip_prefix("normalised:")
                .ok_or_else(|| OutputRuleError::Class(text.to_owned()))?;
            let mut normalisers = vec![];
            for name in names.split('+') {
                let found = Normaliser::ALL.into_iter().find(|it| it.name() == name);
                normalisers
                    .push(found.ok_or_else(|| OutputRuleError::Normaliser(name.to_owned()))?);
            }
            normalisers.sort();
            normalisers.dedup();
            return Ok((OutputClass::Normalised, normalisers));
        }
    };
    Ok((class, vec![]))
}

impl fmt::Display for OutputRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            OutputClass::Exact => "exact",
            OutputClass::Normalised => "normalised",
            OutputClass::Structural => "structural",
            OutputClass::Nondeterministic => "nondeterministic",
        };
        write!(f, "{}={class}", self.glob)?;
        if self.class == OutputClass::Normalised && self.normalisers != Normaliser::USUAL {
            let names: Vec<_> = self.normalisers.iter().map(|it| it.name()).collect();
            write!(f, ":{}", names.join("+"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(OutputRule::parse(text).unwrap().to_string(), expect);
    }

    #[test]
    fn a_declared_class_prints_as_it_is_typed() {
        for text in [
            "dist/*.whl=normalised",
            "a=b=exact",
            "stdout=normalised:line-order",
            "stderr=normalised:temp-names+line-order",
            "db=structural",
            "x=nondeterministic",
        ] {
            check(text, text);
        }
        check("x=normalised:dates+archive+dates+durations", "x=normalised");
        check("x=normalised:line-order+dates", "x=normalised:dates+line-order");
    }

    #[test]
    fn what_declares_nothing_is_refused_by_name() {
        for text in ["", "x", "=exact"] {
            assert_eq!(OutputRule::parse(text), Err(OutputRuleError::Form(text.to_owned())));
        }
        for class in ["", "Exact", "normalized", "structural:dates"] {
            let refused = OutputRule::parse(&format!("x={class}"));
            assert_eq!(refused, Err(OutputRuleError::Class(class.to_owned())));
        }
        let refused = OutputRule::parse("x=normalised:dates+colour");
        assert_eq!(refused, Err(OutputRuleError::Normaliser("colour".to_owned())));
    }

    #[test]
    fn the_stored_form_leaves_out_what_is_empty() {
        let json = |text: &str| serde_json::to_string(&OutputRule::parse(text).unwrap()).unwrap();
        assert_eq!(json("a=exact"), r#"{"glob":"a","class":"exact"}"#);
        let stored = r#"{"glob":"a","class":"normalised","normalisers":["line-order"]}"#;
        assert_eq!(json("a=normalised:line-order"), stored);
    }
}
