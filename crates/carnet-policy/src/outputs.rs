//! What a lane says of its runs' outputs: how a replay compares them.

use carnet_core::OutputRule;
use globset::Glob;

use crate::{problem::Problems, reader::TableReader};

/// Reads the declared classes; the first glob that fits decides.
pub(crate) fn read(
    table: Option<TableReader<'_, '_>>,
    problems: &mut Problems<'_>,
) -> Vec<OutputRule> {
    let Some(mut table) = table else { return vec![] };
    let mut classes = vec![];
    for text in table.strings("classes", problems) {
        let rule = OutputRule::parse(&text.value).map_err(|error| error.to_string());
        let sound = rule.and_then(|rule| match Glob::new(&rule.glob) {
            Ok(_) => Ok(rule),
            Err(error) => Err(error.to_string()),
        });
        match sound {
            Ok(rule) => classes.push(rule),
            Err(message) => problems.add(&text.span, "outputs.classes", message),
        }
    }
    table.finish(problems);
    classes
}

#[cfg(test)]
mod tests {
    use crate::Lane;

    const DENY: &str = "format = \"carnet/allowlist/1\"\nlane = \"deny\"\ndescription = \"x\"\n";

    fn lane(outputs: &str) -> Result<Lane, String> {
        let text = format!(
            "format = \"carnet/allowlist/1\"\nlane = \"l\"\ndescription = \"x\"\n[limits]\nmax_cpu_pct = 80\nmax_mem_mb = 64\n\
             max_exec_seconds = 1\nmax_parallel = 1\nmax_processes = 1\nmax_disk_mb = 1\nmax_output_mb = 1\n[outputs]\n{outputs}\n"
        );
        Lane::parse(("l.toml", &text), ("deny.toml", DENY))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn classes_stand_in_the_order_of_the_file() {
        let texts = ["stdout=normalised:dates", "dist/*.whl=normalised"];
        let lane = lane(&format!("classes = {texts:?}")).unwrap();
        let read: Vec<_> = lane.classes().iter().map(ToString::to_string).collect();
        assert_eq!(read, texts);
    }

    #[test]
    fn what_declares_nothing_closes_the_lane() {
        for (outputs, said) in [
            ("classes = [\"x=loose\"]", "`loose` is no class"),
            ("classes = [\"x\"]", "`x` is not GLOB=CLASS"),
            ("classes = [\"[=exact\"]", "outputs.classes"),
            ("klasses = []", "klasses"),
        ] {
            let problems = lane(outputs).unwrap_err();
            assert!(problems.contains(said), "{outputs}: {problems}");
        }
    }
}
