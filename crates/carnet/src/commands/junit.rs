//! `carnet scan --format junit`: what services that show test results read.
//!
//! Elements and attributes are those of Jenkins' `junit-10.xsd`: one suite, a failed case for each finding that stands and
//! refuses, a skipped case for each that only warns or was accepted, and one passed case when there is nothing to say, as
//! readers call a file without cases broken.

use carnet_core::Decision;
use carnet_guard::{Examination, Met};

/// Returns the document.
pub fn junit(examination: &Examination) -> String {
    let cases: Vec<String> = examination
        .findings
        .iter()
        .map(|met| match met.decision {
            Decision::Deny => case(met, &failure(met)),
            Decision::Warn | Decision::Allow => case(met, &skipped("a warning")),
        })
        .chain(examination.suppressed.iter().map(|one| case(&one.met, &skipped("accepted"))))
        .collect();
    let n_failed = examination.findings.iter().filter(|met| met.decision == Decision::Deny).count();
    let n_skipped = cases.len() - n_failed;
    let n_cases = cases.len().max(1);
    let cases = match &cases[..] {
        [] => "    <testcase classname=\"carnet\" name=\"nothing was found\"/>\n".to_owned(),
        cases => cases.concat(),
    };
    let totals = format!("tests=\"{n_cases}\" failures=\"{n_failed}\" errors=\"0\"");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {totals}>\n  <testsuite name=\"carnet scan\" {totals} \
         skipped=\"{n_skipped}\">\n{cases}  </testsuite>\n</testsuites>\n"
    )
}

fn case(met: &Met, inside: &str) -> String {
    let finding = &met.finding;
    let place = match finding.region {
        Some(region) => format!("{}:{}", finding.origin.name(), region.start_line),
        None => finding.origin.name(),
    };
    let (class, name) = (escaped(&finding.rule_id), escaped(&place));
    format!("    <testcase classname=\"{class}\" name=\"{name}\">{inside}</testcase>\n")
}

fn failure(met: &Met) -> String {
    let finding = &met.finding;
    let message = escaped(&format!("{} {}", finding.description, finding.masked));
    let fingerprint = finding.fingerprint;
    format!("<failure type=\"finding\" message=\"{message}\">fingerprint {fingerprint}</failure>")
}

fn skipped(why: &str) -> String {
    format!("<skipped message=\"{why}\"/>")
}

/// Escapes for an attribute; characters that XML 1.0 cannot hold become U+FFFD, line ends and tabs references.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' | '\n' | '\r' => escaped += &format!("&#{};", char as u32),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_name_ends_an_attribute_or_breaks_the_document() {
        assert_eq!(escaped("a\"<&>\n\u{1b}b"), "a&quot;&lt;&amp;&gt;&#10;\u{fffd}b");
    }
}
