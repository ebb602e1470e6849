//! `carnet log`: the ledger as a timeline.

use carnet_run::event::describe;

use super::runs::{command, list, marked_id};
use crate::{cli::RunsArgs, error::CommandResult, ui::Ui};

/// Shows runs day by day, newest first.
pub fn log(ui: &Ui, args: &RunsArgs) -> CommandResult {
    list(ui, args, "carnet/log/1", &|shown, index| {
        let mut text = String::new();
        let mut day = String::new();
        for (event, locked) in shown {
            if event.at.day() != day {
                let gap = if day.is_empty() { "" } else { "\n" };
                day = event.at.day();
                text += &format!("{gap}{}\n", ui.bold_out(&day));
            }
            let ended = describe(&event.outcome);
            let (mark, ended) = if event.outcome.is_success() {
                (ui.green_out("●"), ui.green_out(&ended))
            } else {
                (ui.red_out("○"), ui.red_out(&ended))
            };
            text += &format!(
                "  {} {mark} {}  {}\n             {ended} after {:.1} s, lane {}, on {}{}\n",
                &event.at.to_string()[11..19],
                marked_id(ui, index, event),
                command(event),
                event.wall_ms as f64 / 1000.0,
                event.lane,
                event.source_commit.short(),
                if *locked { ", locked" } else { "" }
            );
        }
        text
    })
}
