//! The figures of a replay over seeds.
use crate::run::{Run, StrategyKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sums over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StrategyFigures {
    /// Minutes in which services passed their objectives, summed over services.
    pub violation_minutes: usize,
    /// Moves that were begun.
    pub moves: usize,
    /// Moves begun for a service while a code fault of it or of what it calls was under way, and regretted.
    pub wrong_moves: usize,
    /// Share of the moves after which there were no fewer violations than without them.
    pub regret_share: f64,
    /// Price of the nodes that held a replica, in money.
    pub cost: f64,
    /// Violations within moves which there would not have been without the moves.
    pub move_caused_violation_minutes: usize,
    /// Violation minutes in the worst seed against doing nothing: this strategy's less those of `none`.
    pub worst_seed_excess: i64,
}

/// Strategies side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compared {
    /// By name.
    pub strategies: BTreeMap<&'static str, StrategyFigures>,
    /// What each strategy prevented, as a share of what the oracle prevented; `None` when that was nothing.
    pub prevented_share: BTreeMap<&'static str, Option<f64>>,
    /// Seeds that were run.
    pub seeds: usize,
}

/// Sums up the runs of every seed.
pub fn compare(seeds: &[Vec<Run>]) -> Compared {
    let mut compared = Compared { seeds: seeds.len(), ..Compared::default() };
    for runs in seeds {
        let none = runs.iter().find(|run| run.kind == StrategyKind::None).map(Run::violation_minutes);
        for run in runs {
            let figures = compared.strategies.entry(run.kind.name()).or_default();
            let regretted = run.moves.iter().filter(|begun| begun.regretted).count();
            figures.violation_minutes += run.violation_minutes();
            figures.moves += run.moves.len();
            figures.wrong_moves +=
                run.moves.iter().filter(|begun| begun.during_fault && begun.regretted).count();
            // The sum until all are there.
            figures.regret_share += regretted as f64;
            figures.cost += run.cost;
            figures.move_caused_violation_minutes += run.move_caused;
            if let Some(none) = none {
                let excess = run.violation_minutes() as i64 - none as i64;
                figures.worst_seed_excess = figures.worst_seed_excess.max(excess);
            }
        }
    }
    for figures in compared.strategies.values_mut() {
        figures.regret_share =
            if figures.moves == 0 { 0.0 } else { figures.regret_share / figures.moves as f64 };
    }
    let minutes = |name: &str| compared.strategies.get(name).map(|figures| figures.violation_minutes as f64);
    if let (Some(none), Some(oracle)) = (minutes("none"), minutes("oracle")) {
        let share = |figures: &StrategyFigures| {
            let possible = none - oracle;
            (possible > 0.0).then(|| (none - figures.violation_minutes as f64) / possible)
        };
        compared.prevented_share =
            compared.strategies.iter().map(|(name, figures)| (*name, share(figures))).collect();
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with so many minutes of violation of one service.
    fn run(kind: StrategyKind, violated: usize) -> Run {
        let violated = (0..100).map(|minute| vec![minute < violated]).collect();
        Run { kind, violated, moves: Vec::new(), move_caused: 0, cost: 2.0, minutes: Vec::new() }
    }

    #[test]
    fn seeds_are_summed_and_shares_are_of_what_the_oracle_prevents() {
        let seeds = [(50, 30, 10), (30, 36, 10)].map(|(none, ours, oracle)| {
            vec![
                run(StrategyKind::None, none),
                run(StrategyKind::Foremesh, ours),
                run(StrategyKind::Oracle, oracle),
            ]
        });
        let compared = compare(&seeds);
        assert_eq!(compared.seeds, 2);
        let figures = &compared.strategies["foremesh"];
        assert_eq!((figures.violation_minutes, figures.cost, figures.regret_share), (66, 4.0, 0.0));
        assert_eq!(figures.worst_seed_excess, 6, "better by 20 in one seed, worse by 6 in the other");
        assert_eq!(compared.prevented_share["foremesh"], Some(14.0 / 60.0));
        assert_eq!(compared.prevented_share["oracle"], Some(1.0));
    }

    #[test]
    fn nothing_to_prevent_is_no_share() {
        let compared = compare(&[vec![run(StrategyKind::None, 0), run(StrategyKind::Oracle, 0)]]);
        assert_eq!(compared.prevented_share["oracle"], None);
        let worse = compare(&[vec![run(StrategyKind::None, 3), run(StrategyKind::Oracle, 5)]]);
        assert_eq!(worse.prevented_share["none"], None);
    }
}
