//! Where each family of models is the best, in figures and in words.
use super::{FamilyWins, ModelReport};
use crate::backtest::outcome::Outcome;
use foremesh_core::forecast::model::{Family, Model};
use std::collections::BTreeMap;

/// Families that have a name of their own in the reports, and that name.
const NAMED: [(Family, &str); 4] = [
    (Family::Trees, "ExtraTrees"),
    (Family::Arima, "ARIMA"),
    (Family::Prophet, "Prophet"),
    (Family::Lstm, "LSTM"),
];

/// Counts for every family that takes part.
pub(super) fn wins(
    outcomes: &[Outcome],
    models: &[Box<dyn Model>],
    reports: &[ModelReport],
) -> Vec<FamilyWins> {
    let mut wins: BTreeMap<Family, FamilyWins> = BTreeMap::new();
    for model in models {
        wins.entry(model.family()).or_insert_with(|| FamilyWins {
            family: model.family(),
            series: 0,
            series_among_single: 0,
            series_among_single_by_kind: BTreeMap::new(),
            kinds: Vec::new(),
        });
    }
    for outcome in outcomes {
        let best = best_on(outcome, models, |_| true);
        if let Some(of_family) = best.and_then(|family| wins.get_mut(&family)) {
            of_family.series += 1;
        }
        let best = best_on(outcome, models, |family| family != Family::Combination);
        if let Some(of_family) = best.and_then(|family| wins.get_mut(&family)) {
            of_family.series_among_single += 1;
            *of_family.series_among_single_by_kind.entry(outcome.kind.clone()).or_default() += 1;
        }
    }
    let kinds = reports.first().map(|report| report.by_kind.keys()).into_iter().flatten();
    for kind in kinds {
        let single = reports.iter().filter(|report| report.family != Family::Combination);
        let errors = single
            .filter_map(|report| Some((report.by_kind.get(kind)?.relative_mae.last_value?, report.family)));
        let best = errors.min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(of_family) = best.and_then(|(_, family)| wins.get_mut(&family)) {
            of_family.kinds.push(kind.clone());
        }
    }
    wins.into_values().collect()
}

/// Family of the model with the smallest error at the longest horizon. One that could not say anything itself does not
/// take part; of equals the one that is named first wins.
fn best_on(outcome: &Outcome, models: &[Box<dyn Model>], among: impl Fn(Family) -> bool) -> Option<Family> {
    let mut best: Option<(f64, Family)> = None;
    for (model, scored) in models.iter().zip(&outcome.models) {
        let silent = scored.replay.fallbacks >= outcome.task.origins.len();
        let Some(error) = scored.scores.mae.last().copied().flatten() else { continue };
        if among(model.family()) && !silent && best.is_none_or(|(smallest, _)| error < smallest) {
            best = Some((error, model.family()));
        }
    }
    best.map(|(_, family)| family)
}

/// Says for each named family that takes part where it wins, or that it does not, and what it costs.
pub(super) fn sentences(
    wins: &[FamilyWins],
    models: &[Box<dyn Model>],
    reports: &[ModelReport],
    series: usize,
) -> Vec<String> {
    let mut sentences = Vec::new();
    for (family, name) in NAMED {
        let Some(of_family) = wins.iter().find(|wins| wins.family == family) else { continue };
        let Some(report) = models.iter().zip(reports).find(|(model, _)| model.family() == family) else {
            continue;
        };
        sentences.push(sentence(name, of_family, report.1, series));
    }
    sentences
}

fn sentence(name: &str, wins: &FamilyWins, report: &ModelReport, series: usize) -> String {
    let by_kind: Vec<String> =
        wins.series_among_single_by_kind.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let on_series = if wins.series_among_single == 0 {
        format!("{name} is not the best single model on any of {series} series")
    } else {
        format!(
            "{name} is the best single model on {} of {series} series ({})",
            wins.series_among_single,
            by_kind.join(", ")
        )
    };
    let on_kinds = if wins.kinds.is_empty() {
        "it wins no kind as a whole".to_owned()
    } else {
        format!("it wins the kinds {} as a whole", wins.kinds.join(", "))
    };
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    format!(
        "{on_series}, and {on_kinds}; its error is {} of the last value's, a fit costs {} ms of CPU and a forecast {} ms; \
         {} fits failed, and {} forecasts fell back.",
        number(report.relative_mae.last_value),
        number(report.cpu_ms_per_fit),
        number(report.cpu_ms_per_forecast),
        report.failures,
        report.fallbacks
    )
}
