//! How far nodes are from one another, from the time that calls take at the caller and at the callee.
//!
//! Few calls between two nodes say little, so what they say is drawn towards what their zones say, that towards what is
//! usual within a zone or between zones, and that towards the mean of all: each as far as it is uncertain itself
//! against how much its kind varies (empirical Bayes, Efron and Morris 1975).
use super::{Distance, Proximity};
use crate::ids::{NodeId, Zone};
use std::collections::{BTreeMap, BTreeSet};

/// Time that calls from one node to another spent on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceSample {
    /// Node of the caller.
    pub caller: NodeId,
    /// Node of the callee.
    pub callee: NodeId,
    /// Mean time at the caller less mean time at the callee, in milliseconds.
    pub difference_ms: f64,
    /// Calls behind that.
    pub calls: u64,
}

/// A mean with its uncertainty.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    mean: f64,
    variance: f64,
    calls: u64,
}

impl Estimate {
    fn distance(&self) -> Distance {
        Distance { mean_ms: self.mean.max(0.0), error_ms: self.variance.sqrt(), calls: self.calls }
    }
}

impl Proximity {
    /// From samples and the zone of each node. Every pair of zones gets a distance, measured or not, as soon as there is
    /// one sample.
    pub fn fit(samples: &[DistanceSample], zones: &BTreeMap<NodeId, Zone>) -> Self {
        let usable = |sample: &&DistanceSample| sample.difference_ms.is_finite() && sample.calls > 0;
        let samples: Vec<&DistanceSample> = samples.iter().filter(usable).collect();
        let mut pairs: BTreeMap<(&NodeId, &NodeId), Vec<(f64, f64)>> = BTreeMap::new();
        for sample in &samples {
            let (a, b) = (&sample.caller, &sample.callee);
            let pair = if a <= b { (a, b) } else { (b, a) };
            pairs.entry(pair).or_default().push((sample.difference_ms, sample.calls as f64));
        }
        let Some(noise) = noise(&pairs) else { return Self::default() };
        let measured: BTreeMap<_, Estimate> =
            pairs.iter().map(|(pair, samples)| (*pair, estimate(samples, noise))).collect();

        let all: Vec<Estimate> = measured.values().copied().collect();
        let overall = pooled(&all, None);
        let names: BTreeSet<&Zone> = zones.values().collect();
        let mut of_zones: BTreeMap<(&Zone, &Zone), Vec<Estimate>> = BTreeMap::new();
        let mut of_kind: [Vec<Estimate>; 2] = [Vec::new(), Vec::new()];
        for ((a, b), estimate) in &measured {
            let (Some(a), Some(b)) = (zones.get(*a), zones.get(*b)) else { continue };
            let pair = if a <= b { (a, b) } else { (b, a) };
            of_zones.entry(pair).or_default().push(*estimate);
            of_kind[usize::from(a != b)].push(*estimate);
        }
        let kinds = of_kind.map(|estimates| pooled(&estimates, Some(overall)));
        let mut fitted = Self::default();
        let mut of_zone: BTreeMap<(&Zone, &Zone), Estimate> = BTreeMap::new();
        for (at, a) in names.iter().enumerate() {
            for b in names.iter().skip(at) {
                let kind = kinds[usize::from(a != b)];
                let estimate = of_zones.get(&(*a, *b)).map_or(kind, |known| pooled(known, Some(kind)));
                fitted.zones.push(((*a).clone(), (*b).clone(), estimate.distance()));
                of_zone.insert((a, b), estimate);
            }
        }
        for ((a, b), estimate) in &measured {
            let zone = zones.get(*a).zip(zones.get(*b)).and_then(|(a, b)| {
                let pair = if a <= b { (a, b) } else { (b, a) };
                Some((of_zone.get(&pair)?, of_zones.get(&pair)?))
            });
            let (prior, like) = zone.map_or((&overall, &all), |(prior, like)| (prior, like));
            let drawn = drawn(*estimate, *prior, spread(like));
            fitted.nodes.push(((*a).clone(), (*b).clone(), drawn.distance()));
        }
        fitted
    }

    /// Distance between two nodes: their own, or that of their zones. `None` where neither is known.
    pub fn between(&self, a: (&NodeId, Option<&Zone>), b: (&NodeId, Option<&Zone>)) -> Option<Distance> {
        let own = self.nodes.iter().find(|(x, y, _)| (x, y) == (a.0, b.0) || (x, y) == (b.0, a.0));
        let of_zones = || {
            let (from, to) = (a.1?, b.1?);
            self.zones.iter().find(|(x, y, _)| (x, y) == (from, to) || (x, y) == (to, from))
        };
        own.map(|(_, _, distance)| *distance).or_else(|| of_zones().map(|(_, _, distance)| *distance))
    }
}

/// Variance of one call's difference, from samples of the same pair; from all of them where each pair has one.
fn noise(pairs: &BTreeMap<(&NodeId, &NodeId), Vec<(f64, f64)>>) -> Option<f64> {
    let mean = |samples: &[(f64, f64)]| {
        samples.iter().map(|(ms, calls)| ms * calls).sum::<f64>()
            / samples.iter().map(|(_, calls)| calls).sum::<f64>()
    };
    let around = |samples: &[(f64, f64)]| {
        let mean = mean(samples);
        samples.iter().map(|(ms, calls)| calls * (ms - mean).powi(2)).sum::<f64>()
    };
    let count: usize = pairs.values().map(Vec::len).sum();
    let free = count - pairs.len();
    if free > 0 {
        return Some(pairs.values().map(|samples| around(samples)).sum::<f64>() / free as f64);
    }
    let all: Vec<(f64, f64)> = pairs.values().flatten().copied().collect();
    (!all.is_empty()).then(|| around(&all) / all.len() as f64)
}

fn estimate(samples: &[(f64, f64)], noise: f64) -> Estimate {
    let calls: f64 = samples.iter().map(|(_, calls)| calls).sum();
    let mean = samples.iter().map(|(ms, calls)| ms * calls).sum::<f64>() / calls;
    Estimate { mean, variance: noise / calls, calls: calls as u64 }
}

/// Variance of the true values behind estimates, beyond what their uncertainty explains (method of moments, as for random
/// effects of trials, Laird 1986).
fn spread(estimates: &[Estimate]) -> f64 {
    let count = estimates.len() as f64;
    if estimates.len() < 2 {
        return 0.0;
    }
    let mean = estimates.iter().map(|estimate| estimate.mean).sum::<f64>() / count;
    let variance = estimates.iter().map(|e| (e.mean - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let explained = estimates.iter().map(|estimate| estimate.variance).sum::<f64>() / count;
    (variance - explained).max(0.0)
}

/// The mean of estimates of like things, drawn towards what is more general.
fn pooled(estimates: &[Estimate], prior: Option<Estimate>) -> Estimate {
    let between = spread(estimates);
    let weight = |estimate: &Estimate| 1.0 / (estimate.variance + between).max(1e-9);
    let weights: f64 = estimates.iter().map(weight).sum();
    if weights <= 0.0 {
        return prior.unwrap_or(Estimate { mean: 0.0, variance: f64::INFINITY, calls: 0 });
    }
    let mean = estimates.iter().map(|estimate| estimate.mean * weight(estimate)).sum::<f64>() / weights;
    let calls = estimates.iter().map(|estimate| estimate.calls).sum();
    let own = Estimate { mean, variance: 1.0 / weights, calls };
    // One level of the hierarchy differs from the next by about as much as its members differ among themselves.
    prior.map_or(own, |prior| drawn(own, prior, between.max(prior.variance)))
}

/// An estimate drawn towards a prior whose members vary by `between`.
fn drawn(own: Estimate, prior: Estimate, between: f64) -> Estimate {
    let around = between + prior.variance.min(1e12);
    let sum = own.variance + around;
    if sum <= 0.0 {
        return own;
    }
    let share = around / sum;
    let mean = own.mean * share + prior.mean * (1.0 - share);
    Estimate { mean, variance: own.variance * share, calls: own.calls }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitmix::SplitMix;

    fn zones() -> BTreeMap<NodeId, Zone> {
        ["a1", "a2", "a3", "b1", "b2", "c1"]
            .into_iter()
            .map(|node| (NodeId::from(node), Zone::from(&node[..1])))
            .collect()
    }

    fn of_zone(proximity: &Proximity, a: &str, b: &str) -> f64 {
        let (a, b) = (Zone::from(a), Zone::from(b));
        let zone = |zone| (&NodeId::from("unheard"), Some(zone)).1;
        proximity.between((&"x".into(), zone(&a)), (&"y".into(), zone(&b))).unwrap().mean_ms
    }

    #[test]
    fn few_calls_are_drawn_towards_what_is_usual() {
        let mut random = SplitMix::new(1);
        let mut samples = Vec::new();
        let mut add = |caller: &str, callee: &str, ms: f64, calls: u64| {
            for _ in 0..5 {
                let noise = 2.0 / (calls as f64).sqrt() * random.normal();
                let (caller, callee) = (caller.into(), callee.into());
                samples.push(DistanceSample { caller, callee, difference_ms: ms + noise, calls });
            }
        };
        add("a1", "a2", 0.3, 2_000);
        add("a1", "b1", 2.0, 2_000);
        add("b1", "a2", 2.2, 2_000);
        add("a2", "b2", 9.0, 1);
        add("b1", "b2", 0.4, 2_000);
        let proximity = Proximity::fit(&samples, &zones());
        let between = |a: &str, b: &str| {
            let (a, b): (NodeId, NodeId) = (a.into(), b.into());
            proximity.between((&a, zones().get(&a)), (&b, zones().get(&b))).unwrap()
        };
        assert!((between("a2", "a1").mean_ms - 0.3).abs() < 0.1);
        assert!((between("a1", "b1").mean_ms - 2.0).abs() < 0.15);
        let rare = between("a2", "b2");
        assert!((2.2..8.0).contains(&rare.mean_ms), "{rare:?}");
        assert!(rare.error_ms > 3.0 * between("a1", "b1").error_ms);
        assert!(of_zone(&proximity, "a", "a") < 1.0);
        assert!(of_zone(&proximity, "a", "b") > 1.5);
        assert!(of_zone(&proximity, "b", "c") > 1.5, "never measured, but between zones");
        assert!(of_zone(&proximity, "c", "c") < 1.0, "never measured, but within a zone");
    }

    #[test]
    fn without_samples_nothing_is_known() {
        let proximity = Proximity::fit(&[], &zones());
        assert_eq!(proximity, Proximity::default());
        assert_eq!(proximity.between((&"a1".into(), None), (&"a2".into(), None)), None);
    }
}
