//! What a backtest says: the JSON of the contract, and where the figures in it come from.
mod summary;
pub mod table;
mod wins;

pub use summary::summarise;

use serde::Serialize;
use std::collections::BTreeMap;

/// A figure; `null` where there is nothing to compute it from.
pub type Figure = Option<f64>;

/// The whole result. Relative errors are geometric means over series of one mean absolute error divided by another one
/// at the longest horizon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Series that were forecast.
    pub series: usize,
    /// Origins over all series: each model made so many forecasts.
    pub tasks: usize,
    /// Series that are too short for the horizon.
    pub skipped: Vec<String>,
    /// Horizons in steps.
    pub horizons: Vec<usize>,
    /// Origins of one series at most.
    pub origins: usize,
    /// CPU time that the refits of one model on one series may take by the model's own statement, in seconds.
    pub refit_seconds: Figure,
    /// Models in the order in which they are known.
    pub models: Vec<ModelReport>,
    /// Warnings of the combination, or of the first model that has any.
    pub exceedance: ExceedanceReport,
    /// Warnings of the other models that have any.
    pub exceedance_of_others: Vec<ExceedanceReport>,
    /// Where each family is the best.
    pub wins: Vec<FamilyWins>,
    /// One sentence for each named family.
    pub named_families: Vec<String>,
    /// CPU time of training the recurrent net once for all series, in seconds; `null` when it does not take part.
    pub lstm_training_cpu_seconds: Figure,
    /// CPU time of the whole run without that training, in seconds.
    pub cpu_seconds: f64,
    /// Time that the replays took, in seconds.
    pub wall_seconds: f64,
    /// Threads that ran.
    pub threads: usize,
}

/// One model over all series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// Its family.
    pub family: foremesh_core::forecast::model::Family,
    /// By kind and horizon, the median over series of the error in terms of the seasonal naive error within the
    /// training part.
    pub mase: BTreeMap<String, BTreeMap<String, Figure>>,
    /// Errors relative to the references at the longest horizon.
    pub relative_mae: Relative,
    /// The same at every horizon.
    pub relative_mae_by_horizon: BTreeMap<String, Relative>,
    /// Median over series of the pinball loss at 0.9 in terms of the scale of the series.
    pub pinball_90: Figure,
    /// Share of values within the 80 % band: the mean over series.
    pub coverage_80: Figure,
    /// The same for each quarter of the horizon.
    pub coverage_80_by_quarter: Vec<Figure>,
    /// Share of series whose coverage is at least 0.70.
    pub series_with_coverage_70: Figure,
    /// Share of values that are not above the quantile 0.9: the mean over series.
    pub below_q90: Figure,
    /// CPU time for each forecast, its share of fits and updates included, in milliseconds.
    pub cpu_ms_per_forecast: Figure,
    /// CPU time of one fit, in milliseconds.
    pub cpu_ms_per_fit: Figure,
    /// CPU time of one update, in microseconds.
    pub cpu_us_per_update: Figure,
    /// CPU time of one prediction of the whole horizon, in microseconds.
    pub cpu_us_per_prediction: Figure,
    /// Fits that succeeded.
    pub fits: usize,
    /// Fits that were refused for want of history or of a season.
    pub refused: usize,
    /// Fits and predictions that failed otherwise.
    pub failures: usize,
    /// Why the first of these failed.
    pub failed_because: Option<String>,
    /// Forecasts, of `tasks`, in which the last value had to stand in.
    pub fallbacks: usize,
    /// Origins from one fit to the next: median over series; `null` for a model that is fitted once and then updated.
    pub refit_every_origins: Figure,
    /// By kind.
    pub by_kind: BTreeMap<String, GroupReport>,
    /// By where the series come from.
    pub by_family: BTreeMap<String, GroupReport>,
    /// By length of the step in seconds.
    pub by_step_seconds: BTreeMap<String, GroupReport>,
}

/// Errors relative to the references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Relative {
    /// To the seasonal naive forecast, over the series that have a season.
    pub seasonal_naive: Figure,
    /// To the last value.
    pub last_value: Figure,
    /// To the better of last value and simple exponential smoothing on each series.
    pub best_of_last_value_and_ses: Figure,
}

/// One model over some of the series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// Series.
    pub series: usize,
    /// Series that have a season.
    pub with_season: usize,
    /// Errors at the longest horizon.
    #[serde(flatten)]
    pub relative_mae: Relative,
    /// Median error at the longest horizon in terms of the scale of the series.
    pub mase: Figure,
    /// Share of values within the 80 % band.
    pub coverage_80: Figure,
    /// Share of values that are not above the quantile 0.9.
    pub below_q90: Figure,
}

/// Warnings of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExceedanceReport {
    /// The model; `null` when none that took part has breach probabilities.
    pub model: Option<String>,
    /// Probability from which on an alarm is raised.
    pub probability: f64,
    /// Over all series.
    #[serde(flatten)]
    pub all: ExceedanceScores,
    /// By kind.
    pub by_kind: BTreeMap<String, ExceedanceScores>,
    /// Probabilities against frequencies.
    pub calibration: CalibrationReport,
}

/// Counts of warnings; see the module `exceedance` for what the words mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ExceedanceScores {
    /// Share of episodes that were warned of.
    pub recall: Figure,
    /// Share of alarms that were true.
    pub precision: Figure,
    /// Median of the steps from the first alarm to the episode.
    pub median_lead_steps: Figure,
    /// False alarms for each day of a series.
    pub false_alarms_per_day: Figure,
    /// Share of claims that were true: alarms that stand for one horizon and no longer.
    pub claim_precision: Figure,
    /// False claims for each day of a series.
    pub false_claims_per_day: Figure,
    /// Episodes.
    pub episodes: usize,
    /// Alarms.
    pub alarms: usize,
    /// Claims.
    pub claims: usize,
    /// Days, summed over series.
    pub series_days: f64,
}

/// Probabilities against frequencies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// Bins of equal width.
    pub bins: Vec<BinReport>,
    /// Brier score.
    pub brier: Figure,
    /// Brier score of always saying the base rate.
    pub brier_of_base_rate: Figure,
    /// Expected calibration error.
    pub expected_error: Figure,
}

/// One bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BinReport {
    /// Its lower end.
    pub from: f64,
    /// Forecasts in it.
    pub forecasts: usize,
    /// Mean probability of those.
    pub probability: Figure,
    /// Share of those that came true.
    pub frequency: Figure,
}

/// Where a family is the best, by the error at the longest horizon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FamilyWins {
    /// The family.
    pub family: foremesh_core::forecast::model::Family,
    /// Series on which one of its models is the best of all.
    pub series: usize,
    /// Series on which one of its models is the best of those that are not a combination.
    pub series_among_single: usize,
    /// The same by kind.
    pub series_among_single_by_kind: BTreeMap<String, usize>,
    /// Kinds on which one of its models has the smallest error relative to the last value, among single models.
    pub kinds: Vec<String>,
}

/// Rounds to so many significant digits.
pub fn significant(value: f64, digits: i32) -> f64 {
    if !value.is_finite() {
        return value;
    }
    // Smaller ones have no such power of ten among the floats; none is a figure of interest.
    if value.abs() < 1e-290 {
        return 0.0;
    }
    let exponent = digits - 1 - value.abs().log10().floor() as i32;
    // Powers of ten are exact up to 10^22 only, so that dividing by one is exact where multiplying by 0.1 is not.
    if exponent >= 0 {
        (value * 10_f64.powi(exponent)).round() / 10_f64.powi(exponent)
    } else {
        (value / 10_f64.powi(-exponent)).round() * 10_f64.powi(-exponent)
    }
}

/// A figure with four significant digits.
fn figure(value: Option<f64>) -> Figure {
    value.filter(|value| value.is_finite()).map(|value| significant(value, 4))
}

#[cfg(test)]
mod tests {
    use super::significant;

    #[test]
    fn figures_are_rounded() {
        for (value, digits, want) in [
            (0.123_456, 4, 0.1235),
            (123_456.0, 4, 123_500.0),
            (-0.000_123_44, 3, -0.000_123),
            (0.0, 4, 0.0),
            (9.9999, 4, 10.0),
            (1e-320, 4, 0.0),
        ] {
            let got = significant(value, digits);
            assert!((got - want).abs() < 1e-12, "{value} to {digits} digits is {got}, not {want}");
        }
        assert!(significant(f64::NAN, 4).is_nan());
    }
}
