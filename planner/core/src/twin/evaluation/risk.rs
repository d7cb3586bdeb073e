//! From a service's times to the probability that its objective is breached.
use super::{
    super::{
        MEDIAN,
        lanes::{KNOTS, Lanes, lane},
        mesh::{MeshModel, ServiceIx},
        tail_fit::TailTable,
    },
    Evaluation, NO_BOUND_MS,
};
use crate::{
    forecast::LEVELS,
    time::Timestamp,
    units::{Probability, Quantile},
};

/// Part of the outcomes that each level stands for: half the way to its neighbours.
const PARTS: [f32; LEVELS.len()] = {
    let mut parts = [0.0; LEVELS.len()];
    let mut level = 0;
    while level < LEVELS.len() {
        let below = if level == 0 { 0.0 } else { 0.5 * (LEVELS[level - 1] + LEVELS[level]) };
        let above = if level + 1 == LEVELS.len() { 1.0 } else { 0.5 * (LEVELS[level] + LEVELS[level + 1]) };
        parts[level] = (above - below) as f32;
        level += 1;
    }
    parts
};

/// Standard deviations below the objective from which on there is no risk: one in a million.
const NO_RISK: f32 = -4.75;

/// Probability that the service breaches its objective within its look-ahead, 0 without an objective or when its
/// latency is not predicted.
///
/// Loads of all nodes and services are taken to be at the same level at once: what rises, rises together. At each level
/// the worst knot counts, and around it the twin's own error.
pub(super) fn risk(mesh: &MeshModel, service: ServiceIx, mean: &Lanes, variance: &Lanes) -> f32 {
    let model = &mesh.services[service];
    let (Some(objective), None) = (&model.objective, &model.unknown) else { return 0.0 };
    let table = &mesh.tables[objective.table];
    let (middle, spread) = mesh.error;
    let limit = (objective.above_ms as f32 / model.fitted.shape).ln() - middle;
    let above = |level: usize| {
        let mut worst = f32::MIN_POSITIVE;
        for knot in 0..objective.knots {
            let at = lane(knot, level);
            worst = worst.max(table.quantile(mean[at], variance[at]));
        }
        (worst.ln() - limit) / spread
    };
    // Most services are far from their objective even at the highest level, where loads and so latencies are highest.
    let highest = above(LEVELS.len() - 1);
    if highest < NO_RISK {
        return 0.0;
    }
    let last = LEVELS.len() - 1;
    let risk: f32 = (0..last).map(|level| PARTS[level] * normal(above(level))).sum();
    (risk + PARTS[last] * normal(highest)).clamp(0.0, 1.0)
}

/// Highest latency of a service in milliseconds over its look-ahead at the median; infinite without an objective, when a
/// node is saturated, or when it is not predicted.
pub(super) fn expected_ms(mesh: &MeshModel, service: ServiceIx, mean: &Lanes, variance: &Lanes) -> f32 {
    let model = &mesh.services[service];
    let (Some(objective), None) = (&model.objective, &model.unknown) else { return f32::INFINITY };
    let table = &mesh.tables[objective.table];
    let mut worst = 0.0f32;
    for knot in 0..objective.knots {
        let at = lane(knot, MEDIAN);
        let ms = model.fitted.shape * table.quantile(mean[at], variance[at]);
        if ms.is_nan() || ms >= NO_BOUND_MS {
            return f32::INFINITY;
        }
        worst = worst.max(ms);
    }
    worst
}

/// A breach as the twin sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwinBreach {
    /// Probability of it within the look-ahead.
    pub probability: Probability,
    /// Start of the part of the look-ahead in which it begins, in the middle one of the outcomes that have one; the
    /// moment of the pass when none has.
    pub at: Timestamp,
    /// Highest latency in milliseconds that is expected within the look-ahead; infinite where a node saturates.
    pub worst_ms: f64,
}

impl Evaluation<'_> {
    /// Time in milliseconds from `from` to `until` in which a service is expected above a latency, knot by knot.
    pub fn expected_above_ms(
        &self,
        service: ServiceIx,
        threshold_ms: f64,
        (from, until): (Timestamp, Timestamp),
    ) -> i64 {
        let window = self.mesh.window;
        let beyond = |knot: &usize| self.latency(service, *knot, MEDIAN).is_none_or(|ms| ms > threshold_ms);
        let parts = (0..KNOTS).filter(beyond).map(|knot| {
            let (start, end) = (window.start(knot).max(from), window.start(knot + 1).min(until));
            end.ms_since(start).max(0)
        });
        parts.sum()
    }

    /// Breach of a threshold in milliseconds at a quantile, within so many milliseconds, under this layout. `None` when
    /// the latency of the service is not predicted.
    pub fn breach_within(
        &self,
        service: ServiceIx,
        quantile: Quantile,
        threshold_ms: f64,
        within_ms: i64,
    ) -> Option<TwinBreach> {
        let mesh = self.mesh;
        if mesh.services[service].unknown.is_some() || mesh.of_service(service).is_empty() {
            return None;
        }
        let kept = mesh.tables.iter().find(|table| table.level() == quantile);
        let made = kept.is_none().then(|| TailTable::new(quantile));
        let table = kept.or(made.as_ref())?;
        let knots = mesh.window.knots(within_ms);
        let (middle, spread) = mesh.error;
        let shape = mesh.services[service].fitted.shape;
        let limit = (threshold_ms as f32 / shape).ln() - middle;
        let mut probability = 0.0;
        let mut worst_ms = 0.0f32;
        let mut begun = [0.0f32; KNOTS];
        for (level, part) in PARTS.iter().enumerate() {
            let mut highest = 0.0f32;
            for (knot, begun) in begun.iter_mut().enumerate().take(knots) {
                let at = lane(knot, level);
                let ms = table.quantile(self.layout.mean[service][at], self.layout.variance[service][at]);
                let above = normal((ms.max(f32::MIN_POSITIVE).ln() - limit) / spread);
                *begun += part * (above - highest).max(0.0);
                highest = highest.max(above);
                if level == MEDIAN {
                    worst_ms = worst_ms.max(shape * ms);
                }
            }
            probability += part * highest;
        }
        let mut sum = 0.0;
        let first = begun.iter().position(|share| {
            sum += share;
            sum >= 0.5 * probability
        });
        Some(TwinBreach {
            probability: Probability::new(f64::from(probability.clamp(0.0, 1.0))).unwrap_or_default(),
            at: mesh.window.start(first.unwrap_or(0)),
            worst_ms: if worst_ms < NO_BOUND_MS { f64::from(worst_ms) } else { f64::INFINITY },
        })
    }
}

/// Probability that a standard normal variable is below `x` (Abramowitz and Stegun 26.2.17, within 1e-7).
fn normal(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let polynomial =
        t * (0.319_381_53 + t * (-0.356_563_78 + t * (1.781_477_9 + t * (-1.821_256 + t * 1.330_274_4))));
    let above = 0.398_942_3 * (-0.5 * x * x).exp() * polynomial;
    if x < 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_one() {
        assert!((PARTS.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_normal_distribution_is_the_one_of_the_tables() {
        for (x, want) in [(-3.0, 0.001_35), (-1.0, 0.158_66), (0.0, 0.5), (1.96, 0.975), (40.0, 1.0)] {
            assert!((normal(x) - want).abs() < 1e-4, "at {x}: {}", normal(x));
        }
    }
}
