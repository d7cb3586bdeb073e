//! Histories of gauges: what is kept of each step that the store gives.
use super::window::Window;
use crate::store::{GaugeStep, GaugeSubject};
use foremesh_core::{
    gauge::{GaugeHistories, GaugeHistory, GaugeMetric},
    series::Series,
    time::{Step, Timestamp},
};
use std::collections::BTreeMap;

/// Steps of one quantity of one subject, one for each start: the preferred source's.
pub(super) type Changed = BTreeMap<GaugeSubject, BTreeMap<GaugeMetric, Vec<GaugeStep>>>;

/// Sorts steps, ordered by start, by what they are about; where several sources measured a step, keeps the preferred.
pub(super) fn preferred(rows: Vec<GaugeStep>) -> Changed {
    let mut changed = Changed::new();
    for row in rows {
        let steps = changed.entry(row.subject.clone()).or_default().entry(row.metric).or_default();
        match steps.last_mut().filter(|last| last.start == row.start) {
            Some(last) if row.source < last.source => *last = row,
            Some(_) => {}
            None => steps.push(row),
        }
    }
    changed
}

/// Takes steps into the histories of one subject.
pub(super) fn merge(
    histories: &mut GaugeHistories,
    window: Window,
    step: Step,
    changed: BTreeMap<GaugeMetric, Vec<GaugeStep>>,
) {
    for (metric, steps) in changed {
        let Some(first) = steps.first() else { continue };
        let history = histories.entry(metric).or_insert_with(|| GaugeHistory {
            series: Series::new(first.start, step, Vec::new()),
            source: first.source,
            newest: Timestamp::default(),
        });
        let (mut start, mut values) = (history.series.start(), history.series.values().to_vec());
        for row in steps {
            window.set(&mut start, &mut values, row.start, row.mean, f64::NAN);
            if row.newest >= history.newest && row.start < window.end {
                (history.newest, history.source) = (row.newest, row.source);
            }
        }
        history.series = Series::new(start, step, values);
    }
}

/// Makes every history end where the window ends; tells whether anything is left.
pub(super) fn slide(histories: &mut GaugeHistories, window: Window) -> bool {
    histories.retain(|_, history| {
        let series = &history.series;
        let (mut start, mut values) = (series.start(), series.values().to_vec());
        window.slide(&mut start, &mut values, f64::NAN);
        history.series = Series::new(start, window.step, values);
        history.series.observed() > 0
    });
    !histories.is_empty()
}
