//! Every forecast as a line of text, so that anyone can score them again.
use super::{read::MeasuredSeries, replay::Forecasts, task::Task};
use std::fmt::Write as _;

/// First line of the file. `origin` is the start of the first step that is forecast, in RFC 3339: the newest value that
/// the model saw belongs to the step before. `step` counts from 1, so a value belongs to `origin + (step - 1)` steps.
/// `q50` is what the errors are computed from; `q10` and `q90` are empty where a model has no band, and `actual` where
/// nothing was measured.
pub const HEADER: &str = "series_id,origin,step,model,q10,q50,q90,actual\n";

/// Appends the lines of one model on one series.
pub fn write(text: &mut String, series: &MeasuredSeries, task: &Task, model: &str, forecasts: &Forecasts) {
    let id = quoted(&series.id);
    for (row, origin) in forecasts.rows(task.horizon).zip(&task.origins) {
        let start = series.start.plus_ms(series.step.times(*origin)).unix_ms();
        let start = jiff::Timestamp::from_millisecond(start).unwrap_or_default();
        for (ahead, (step, actual)) in row.iter().zip(&series.values[*origin..]).enumerate() {
            // A string takes every write.
            let _ = write!(text, "{id},{start},{},{model},", ahead + 1);
            let [low, high] = step.band.map_or([f64::NAN; 2], |band| band);
            for (value, end) in [(low, ','), (step.point, ','), (high, ','), (*actual, '\n')] {
                if value.is_finite() {
                    let _ = write!(text, "{}", shortened(value));
                }
                text.push(end);
            }
        }
    }
}

/// Seven significant digits, which is what the measured values have at most.
fn shortened(value: f64) -> f64 {
    super::report::significant(value, 7)
}

/// A cell in quotes where it needs them (RFC 4180).
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
