//! Every forecast as a line of text, and the steps of the history that an event changed, so that others can be put on
//! the same tasks and all can be scored again.
use super::{Effect, EventTask, Forecasts};
use std::fmt::Write as _;

/// First line of the file.
///
/// `first` is the start of the first step of the history and `origin` that of the first step that is forecast, in
/// RFC 3339. `step` counts from 1 at the origin; 0 and below are steps of the history, of which only those within an
/// event are there, with `actual` and `in_event` alone: all others are as they were measured. `scale` is the unit of the
/// errors in the report.
pub(super) const HEADER: &str =
    "task,seed,series_id,first,origin,scale,effect,step,in_event,actual,ours,ignoring,known,prophet\n";

/// The lines of one task.
pub(super) fn lines(number: usize, task: &EventTask, forecasts: &[Forecasts]) -> String {
    let mut text = String::new();
    let time = |index| jiff::Timestamp::from_millisecond(task.at(index).unix_ms()).unwrap_or_default();
    let (first, origin) = (time(0), time(task.origin));
    for (effect, made) in Effect::ALL.into_iter().zip(forecasts) {
        let values = task.with(effect);
        let mut line = |index: usize, in_event: bool, cells: [f64; 5]| {
            let step = index as i64 - task.origin as i64 + 1;
            // A string takes every write.
            let _ = write!(
                text,
                "{number},{},{},{first},{origin},{},{},{step},{}",
                task.seed,
                task.series_id,
                task.scale,
                effect.name(),
                u8::from(in_event)
            );
            for cell in cells {
                text.push(',');
                if cell.is_finite() {
                    let _ = write!(text, "{cell}");
                }
            }
            text.push('\n');
        };
        let nothing = f64::NAN;
        for index in task.events.iter().cloned().flatten().filter(|index| *index < task.origin) {
            line(index, true, [values[index], nothing, nothing, nothing, nothing]);
        }
        for ahead in 0..made.actual.len() {
            let index = task.origin + ahead;
            let cells = [&made.actual, &made.ours, &made.ignoring, &made.known, &made.prophet];
            line(index, task.expected().contains(&index), cells.map(|cell| cell[ahead]));
        }
    }
    text
}
