//! `carnet scan --format github`: one workflow command a finding, which GitHub Actions shows beside the line.
//!
//! Form and escapes are those of the "Workflow commands for GitHub Actions" reference:
//! `::error file=F,line=L,col=C,endLine=L,endColumn=C,title=T::MESSAGE`.

use carnet_core::{Decision, Origin};
use carnet_guard::{Examination, Met};

/// Returns the commands of all findings that stand, a line each.
pub fn annotations(examination: &Examination) -> String {
    examination.findings.iter().map(annotation).collect()
}

fn annotation(met: &Met) -> String {
    let finding = &met.finding;
    let command = match met.decision {
        Decision::Deny => "error",
        Decision::Warn => "warning",
        Decision::Allow => "notice",
    };
    let mut properties = vec![];
    let is_file =
        matches!(finding.origin, Origin::Staged(_) | Origin::Committed(_) | Origin::File(_));
    if is_file {
        properties.push(format!("file={}", property(&finding.origin.name())));
    }
    if let (true, Some(region), Some(columns)) = (is_file, finding.region, met.columns) {
        properties.push(format!("line={},endLine={}", region.start_line, region.end_line));
        // Columns are accepted only where the region lies in one line.
        if region.start_line == region.end_line {
            properties.push(format!("col={},endColumn={}", columns.start, columns.end));
        }
    }
    properties.push(format!("title={}", property(&finding.rule_id)));
    let mut message = format!("{} {}", finding.description, finding.masked);
    if let Some(commit_id) = met.commit_id {
        message += &format!(", brought by commit {}", commit_id.short());
    }
    format!("::{command} {}::{}\n", properties.join(","), data(&message))
}

/// Escapes what would end a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes what would end a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_the_command_or_starts_another() {
        assert_eq!(property("a,b:c%\n::error::x"), "a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ax");
        assert_eq!(data("a\r\nb%"), "a%0D%0Ab%25");
    }
}
