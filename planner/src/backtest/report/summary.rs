//! From the outcome of each series to the figures of the report.
use super::{
    BinReport, CalibrationReport, ExceedanceReport, ExceedanceScores, Figure, GroupReport, ModelReport,
    Relative, Report, figure, wins,
};
use crate::backtest::{
    exceedance::{Calibration, Warnings},
    outcome::{ModelOutcome, Outcome, Settings},
    score::{QUARTERS, Scores, geometric_mean, mean, median, relative},
};
use foremesh_core::forecast::model::{Family, Model};
use std::collections::{BTreeMap, BTreeSet};

/// Coverage that a series must have.
const LEAST_COVERAGE: f64 = 0.70;

/// Sums up the outcomes of a run. Times are left at 0.
pub fn summarise(
    outcomes: &[Outcome],
    skipped: Vec<String>,
    models: &[Box<dyn Model>],
    settings: &Settings,
) -> Report {
    let reports: Vec<ModelReport> = models
        .iter()
        .enumerate()
        .map(|(at, model)| Selected { outcomes, at, settings }.report(model.as_ref()))
        .collect();
    let mut warnings: Vec<(bool, ExceedanceReport)> = models
        .iter()
        .enumerate()
        .filter(|(at, _)| outcomes.iter().any(|outcome| outcome.models[*at].warnings.is_some()))
        .map(|(at, model)| {
            let selected = Selected { outcomes, at, settings };
            (model.family() != Family::Combination, selected.exceedance(Some(model.name())))
        })
        .collect();
    warnings.sort_by_key(|(single, _)| *single);
    let mut warnings = warnings.into_iter().map(|(_, report)| report);
    let exceedance =
        warnings.next().unwrap_or_else(|| Selected { outcomes: &[], at: 0, settings }.exceedance(None));
    let wins = wins::wins(outcomes, models, &reports);
    Report {
        series: outcomes.len(),
        tasks: outcomes.iter().map(|outcome| outcome.task.origins.len()).sum(),
        skipped,
        horizons: settings.horizons.clone(),
        origins: settings.origins,
        refit_seconds: figure(Some(settings.refit_us / 1e6)),
        exceedance,
        exceedance_of_others: warnings.collect(),
        named_families: wins::sentences(&wins, models, &reports, outcomes.len()),
        wins,
        models: reports,
        lstm_training_cpu_seconds: None,
        cpu_seconds: 0.0,
        wall_seconds: 0.0,
        threads: 0,
    }
}

/// One model over some outcomes.
#[derive(Clone, Copy)]
struct Selected<'a> {
    outcomes: &'a [Outcome],
    at: usize,
    settings: &'a Settings,
}

impl<'a> Selected<'a> {
    fn each(self) -> impl Iterator<Item = (&'a Outcome, &'a ModelOutcome)> {
        self.outcomes.iter().map(move |outcome| (outcome, &outcome.models[self.at]))
    }

    fn report(self, model: &dyn Model) -> ModelReport {
        let last = self.settings.horizons.len() - 1;
        let everything = |_: &Outcome| true;
        let kinds: BTreeSet<&str> = self.outcomes.iter().map(|outcome| outcome.kind.as_str()).collect();
        let mase = kinds.iter().map(|kind| {
            let horizons = self.settings.horizons.iter().enumerate();
            let of_kind = |outcome: &Outcome| outcome.kind == *kind;
            let by_horizon = horizons.map(|(at, h)| (h.to_string(), self.mase(at, &of_kind)));
            ((*kind).to_owned(), by_horizon.collect())
        });
        let horizons = self.settings.horizons.iter().enumerate();
        let total = |of: fn(&ModelOutcome) -> f64| self.each().map(|(_, model)| of(model)).sum::<f64>();
        let count = |of: fn(&ModelOutcome) -> usize| self.each().map(|(_, model)| of(model)).sum::<usize>();
        let tasks = self.outcomes.iter().map(|outcome| outcome.task.origins.len()).sum::<usize>();
        let (fits, updates) = (count(|m| m.replay.fits), count(|m| m.replay.updates));
        let attempts = fits + count(|m| m.replay.failures);
        let spent = total(|m| m.replay.spent.fit + m.replay.spent.update + m.replay.spent.predict);
        let each = |seconds: f64, count: usize, unit: f64| {
            figure((count > 0).then(|| seconds * unit / count as f64))
        };
        let covered = |scores: &Scores| scores.covered_all().get();
        ModelReport {
            name: model.name().to_owned(),
            family: model.family(),
            mase: mase.collect(),
            relative_mae: self.relative(last, &everything),
            relative_mae_by_horizon: horizons
                .map(|(at, h)| (h.to_string(), self.relative(at, &everything)))
                .collect(),
            pinball_90: self.pinball(),
            coverage_80: self.mean_of(&everything, covered),
            coverage_80_by_quarter: (0..QUARTERS)
                .map(|quarter| self.mean_of(&everything, |scores| scores.covered[quarter].get()))
                .collect(),
            series_with_coverage_70: self.mean_of(&everything, |scores| {
                covered(scores).map(|share| f64::from(u8::from(share >= LEAST_COVERAGE)))
            }),
            below_q90: self.mean_of(&everything, |scores| scores.below_90.get()),
            cpu_ms_per_forecast: each(spent, tasks, 1e3),
            cpu_ms_per_fit: each(total(|m| m.replay.spent.fit), attempts, 1e3),
            cpu_us_per_update: each(total(|m| m.replay.spent.update), updates, 1e6),
            cpu_us_per_prediction: each(total(|m| m.replay.spent.predict), tasks, 1e6),
            fits,
            refused: count(|m| m.replay.refused),
            failures: count(|m| m.replay.failures),
            failed_because: self.each().find_map(|(_, model)| model.replay.failed_because.clone()),
            fallbacks: count(|m| m.replay.fallbacks),
            refit_every_origins: figure(median(
                self.each().filter_map(|(_, model)| model.replay.refit_every).map(|every| every as f64),
            )),
            by_kind: self.groups(|outcome| outcome.kind.clone()),
            by_family: self.groups(|outcome| outcome.family.clone()),
            by_step_seconds: self.groups(|outcome| outcome.step_seconds.to_string()),
        }
    }

    fn groups(self, name: fn(&Outcome) -> String) -> BTreeMap<String, GroupReport> {
        let names: BTreeSet<String> = self.outcomes.iter().map(name).collect();
        let last = self.settings.horizons.len() - 1;
        let group = |wanted: String| {
            let within = |outcome: &Outcome| name(outcome) == wanted;
            let among = || self.outcomes.iter().filter(|outcome| within(outcome));
            let report = GroupReport {
                series: among().count(),
                with_season: among().filter(|outcome| outcome.task.season.is_some()).count(),
                relative_mae: self.relative(last, &within),
                mase: self.mase(last, &within),
                coverage_80: self.mean_of(&within, |scores| scores.covered_all().get()),
                below_q90: self.mean_of(&within, |scores| scores.below_90.get()),
            };
            (wanted.clone(), report)
        };
        names.into_iter().map(group).collect()
    }

    fn mase(self, horizon: usize, within: &dyn Fn(&Outcome) -> bool) -> Figure {
        let among = self.each().filter(|(outcome, _)| within(outcome));
        figure(median(
            among.filter_map(|(outcome, model)| Some(model.scores.mae[horizon]? / outcome.task.scale?)),
        ))
    }

    fn relative(self, horizon: usize, within: &dyn Fn(&Outcome) -> bool) -> Relative {
        let to = |reference: &dyn Fn(&Outcome) -> Option<f64>| {
            let among = self.each().filter(|(outcome, _)| within(outcome));
            let ratios = among.filter_map(|(outcome, model)| {
                Some(relative(model.scores.mae[horizon]?, reference(outcome)?, outcome.task.scale?))
            });
            figure(geometric_mean(ratios))
        };
        Relative {
            seasonal_naive: to(&|o| o.references.seasonal_naive.get(horizon).copied().flatten()),
            last_value: to(&|o| o.references.last_value.get(horizon).copied().flatten()),
            best_of_last_value_and_ses: to(&|o| o.references.best_simple(horizon)),
        }
    }

    fn pinball(self) -> Figure {
        let scaled = |(outcome, model): (&Outcome, &ModelOutcome)| {
            Some(model.scores.pinball_90? / outcome.task.scale?)
        };
        figure(median(self.each().filter_map(scaled)))
    }

    fn mean_of(self, within: &dyn Fn(&Outcome) -> bool, of: impl Fn(&Scores) -> Option<f64>) -> Figure {
        let among = self.each().filter(|(outcome, _)| within(outcome));
        figure(mean(among.filter_map(|(_, model)| of(&model.scores))))
    }

    fn exceedance(self, model: Option<&str>) -> ExceedanceReport {
        let sum = |within: &dyn Fn(&Outcome) -> bool| {
            let mut sum = Warnings::default();
            let among = self.each().filter(|(outcome, _)| within(outcome));
            for warnings in among.filter_map(|(_, model)| model.warnings.as_ref()) {
                sum.add(warnings);
            }
            sum
        };
        let kinds: BTreeSet<&str> = self.outcomes.iter().map(|outcome| outcome.kind.as_str()).collect();
        let all = sum(&|_| true);
        ExceedanceReport {
            model: model.map(str::to_owned),
            probability: self.settings.probability,
            all: scores(&all),
            by_kind: kinds
                .into_iter()
                .map(|kind| (kind.to_owned(), scores(&sum(&|outcome| outcome.kind == kind))))
                .collect(),
            calibration: calibration(&all.calibration),
        }
    }
}

fn scores(warnings: &Warnings) -> ExceedanceScores {
    ExceedanceScores {
        recall: figure(warnings.recall()),
        precision: figure(warnings.precision()),
        median_lead_steps: figure(warnings.median_lead_steps()),
        false_alarms_per_day: figure(warnings.false_alarms_per_day()),
        claim_precision: figure(warnings.claim_precision()),
        false_claims_per_day: figure(warnings.false_claims_per_day()),
        episodes: warnings.episodes,
        alarms: warnings.alarms,
        claims: warnings.claims,
        series_days: super::significant(warnings.days, 4),
    }
}

fn calibration(of: &Calibration) -> CalibrationReport {
    let width = 1.0 / of.bins.len() as f64;
    CalibrationReport {
        bins: of
            .bins
            .iter()
            .enumerate()
            .map(|(at, (forecasts, said, came))| BinReport {
                from: super::significant(at as f64 * width, 2),
                forecasts: *forecasts,
                probability: figure((*forecasts > 0).then(|| said / *forecasts as f64)),
                frequency: figure((*forecasts > 0).then(|| *came as f64 / *forecasts as f64)),
            })
            .collect(),
        brier: figure(of.brier()),
        brier_of_base_rate: figure(of.brier_of_base_rate()),
        expected_error: figure(of.expected_error()),
    }
}
