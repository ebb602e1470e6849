//! Draws how far the index was behind, as SVG: one stick for each move of HEAD, on a logarithmic scale of seconds.

use std::fmt::Write as _;

/// What moved HEAD.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Commit,
    Amend,
    Merge,
    Rebase,
    Switch,
    Reset,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Commit, Kind::Amend, Kind::Merge, Kind::Rebase, Kind::Switch, Kind::Reset];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Amend => "amend",
            Kind::Merge => "merge",
            Kind::Rebase => "rebase",
            Kind::Switch => "switch",
            Kind::Reset => "reset",
        }
    }

    /// Told apart by those who see fewer colours as well.
    fn colour(self) -> &'static str {
        match self {
            Kind::Commit => "#0072b2",
            Kind::Amend => "#56b4e9",
            Kind::Merge => "#009e73",
            Kind::Rebase => "#cc79a7",
            Kind::Switch => "#e69f00",
            Kind::Reset => "#000000",
        }
    }
}

/// One move of HEAD.
pub struct Move {
    /// When git ended, in seconds from the beginning.
    pub at_s: f64,
    pub commit: String,
    pub kind: Kind,
    /// Whether git called the hooks.
    pub is_hooked: bool,
    /// Processes that wanted to run then.
    pub load: f64,
    /// How long the index took; `None` when it never came.
    pub behind_s: Option<f64>,
}

/// What an hour was like.
pub struct Hour {
    pub repo: String,
    pub minutes: f64,
    pub moves: Vec<Move>,
    /// Processor time of the daemon, in seconds.
    pub busy_s: f64,
    pub peak_mib: f64,
}

/// Returns the value that so many of a hundred do not exceed; 0 of none.
///
/// - `sorted`: ascending.
pub fn percentile(sorted: &[f64], part: usize) -> f64 {
    let rank = (sorted.len() * part).div_ceil(100);
    rank.checked_sub(1).and_then(|idx| sorted.get(idx)).copied().unwrap_or(0.0)
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 52.0;
/// The scale, in seconds.
const LEAST_S: f64 = 0.05;
const MOST_S: f64 = 300.0;

/// Returns the picture.
pub fn page(hour: &Hour) -> String {
    let mut behind: Vec<f64> = hour.moves.iter().filter_map(|it| it.behind_s).collect();
    behind.sort_by(f64::total_cmp);
    let [p50, p95, most] = [50, 95, 100].map(|part| percentile(&behind, part));
    let loads = hour.moves.iter().map(|it| it.load);
    let load = loads.sum::<f64>() / hour.moves.len().max(1) as f64;
    let x = |at_s: f64| LEFT + (WIDTH - LEFT - RIGHT) * at_s / (hour.minutes * 60.0);
    let y = |seconds: f64| {
        let part = (seconds.clamp(LEAST_S, MOST_S) / LEAST_S).ln() / (MOST_S / LEAST_S).ln();
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let mut line = |text: String| svg += &(text + "\n");
    line(format!(
        "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">Seconds from git's exit until the index is there: {}, {:.0} minutes, \
         {} moves of HEAD</text>",
        hour.repo,
        hour.minutes,
        hour.moves.len()
    ));
    line(format!(
        "<text x=\"{LEFT}\" y=\"38\">half within {p50:.2} s, 95 % within {p95:.2} s, all within {most:.2} s; load average on the \
         machine {load:.1}</text>"
    ));
    line(format!(
        "<text x=\"{LEFT}\" y=\"54\">the daemon took {:.2} % of one processor and {:.0} MiB at most</text>",
        hour.busy_s / hour.minutes / 0.6,
        hour.peak_mib
    ));
    for seconds in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0] {
        let (stroke, width) = match seconds {
            120.0 => ("#d55e00", 1.5),
            2.0 => ("#009e73", 1.5),
            _ => ("#dddddd", 0.7),
        };
        let at = y(seconds);
        line(format!(
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{seconds} s</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        ));
    }
    let (at_x, at_y) = (WIDTH - RIGHT, y(120.0) - 4.0);
    line(format!("<text x=\"{at_x}\" y=\"{at_y:.1}\" text-anchor=\"end\">the objective</text>"));
    for tenth in 0..=6 {
        let minutes = hour.minutes * f64::from(tenth) / 6.0;
        let (at_x, at_y) = (x(minutes * 60.0), HEIGHT - BOTTOM + 16.0);
        line(format!(
            "<text x=\"{at_x:.1}\" y=\"{at_y}\" text-anchor=\"middle\">{minutes:.0} min</text>"
        ));
    }
    for moved in &hour.moves {
        let (at, colour) = (x(moved.at_s), moved.kind.colour());
        let (low, high) = (y(LEAST_S), y(moved.behind_s.unwrap_or(MOST_S)));
        let dash = if moved.is_hooked { "" } else { " stroke-dasharray=\"2 2\"" };
        line(format!(
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\" stroke=\"{colour}\" \
             stroke-opacity=\"0.45\"{dash}/><circle cx=\"{at:.1}\" cy=\"{high:.1}\" r=\"2.4\" fill=\"{colour}\"/>"
        ));
    }
    let mut legend = String::new();
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let at_x = LEFT + 90.0 * n as f64;
        let at_y = HEIGHT - 12.0;
        let _ = write!(
            legend,
            "<circle cx=\"{at_x}\" cy=\"{}\" r=\"4\" fill=\"{}\"/><text x=\"{}\" y=\"{at_y}\">{}</text>",
            at_y - 4.0,
            kind.colour(),
            at_x + 8.0,
            kind.name()
        );
    }
    let at_y = HEIGHT - 12.0;
    line(format!("{legend}<text x=\"620\" y=\"{at_y}\">dashed: round the hooks</text>"));
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([50, 95, 100].map(|part| percentile(&values, part)), [50.0, 95.0, 100.0]);
        assert_eq!(percentile(&[7.0], 50), 7.0);
        assert_eq!(percentile(&[], 95), 0.0);
    }
}
