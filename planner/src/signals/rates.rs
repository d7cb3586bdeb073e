//! Counters of many devices, cores and processes become one mean rate for each subject, quantity and step.
//!
//! A step is given out when every counter of its subject was read after its end, so that no part is missing; a counter
//! that fell silent, such as that of a container that was replaced, holds the others up for [`LOST_READINGS`] of the
//! subject's own readings, and for [`PATIENCE_MS`] at most. What comes for a step that was given out is counted
//! as late and left out: a number that is out cannot be corrected, and a part of it must not look like another reading.
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use foremesh_core::{
    counter::{Counter, Increase, StepPart, Steps},
    time::{Step, Timestamp},
};
use std::collections::BTreeMap;

/// Longest time between two readings of a counter; the time between is a gap when it is longer. Two of the 60 s that
/// OpenTelemetry SDKs push at by default may be lost.
const MAX_GAP_MS: i64 = 200_000;
/// How long a counter that fell silent is waited for at most.
const PATIENCE_MS: i64 = 150_000;
/// The same, in times of the longest pause that there was between two readings of a counter of the subject.
const LOST_READINGS: i64 = 5;
/// Share of a step that readings must tell of.
const LEAST_COVERED: f64 = 0.5;
/// Most counters that are followed at once; what pushes under ever new names must not fill the memory.
const MAX_COUNTERS: usize = 100_000;

/// One counter among those of its subject, such as `cpu0/user`.
pub(super) type CounterName = String;

#[derive(Debug)]
struct Followed {
    counter: Counter,
    steps: Steps,
    /// Longest time between two readings.
    pause_ms: Option<i64>,
}

/// All counters that make up one quantity of one subject.
#[derive(Debug, Default)]
struct Group {
    counters: BTreeMap<CounterName, Followed>,
    /// End of what was given out.
    given_to: Option<Timestamp>,
}

/// Counters of all subjects.
#[derive(Debug)]
pub(super) struct Rates {
    step: Step,
    source: GaugeSource,
    groups: BTreeMap<(GaugeSubject, GaugeMetric), Group>,
    counters: usize,
    refused: u64,
}

impl Rates {
    /// None yet.
    pub(super) fn new(step: Step, source: GaugeSource) -> Self {
        Self { step, source, groups: BTreeMap::new(), counters: 0, refused: 0 }
    }

    /// Readings that were left out because too many counters were followed already.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Counters that are followed now.
    #[cfg(test)]
    pub(super) fn followed(&self) -> usize {
        self.groups.values().map(|group| group.counters.len()).sum()
    }

    /// Takes a reading of a counter that only grows; `since` is when it began to count, where that is known.
    pub(super) fn read(
        &mut self,
        key: &(GaugeSubject, GaugeMetric),
        name: CounterName,
        since: Option<Timestamp>,
        at: Timestamp,
        value: f64,
    ) {
        self.follow(key, name, |counter| counter.read(since, at, value));
    }

    /// Takes what was counted between two times.
    pub(super) fn add(
        &mut self,
        key: &(GaugeSubject, GaugeMetric),
        name: CounterName,
        from: Timestamp,
        to: Timestamp,
        amount: f64,
    ) {
        self.follow(key, name, |counter| counter.add(from, to, amount));
    }

    /// Takes a level, which counts for the time since the last reading.
    pub(super) fn level(
        &mut self,
        key: &(GaugeSubject, GaugeMetric),
        name: CounterName,
        at: Timestamp,
        value: f64,
    ) {
        if !value.is_finite() || value < 0.0 {
            return;
        }
        self.follow(key, name, |counter| {
            let held = counter
                .last_read()
                .and_then(|last| counter.add(last, at, value * at.ms_since(last) as f64 / 1e3));
            // The first one, and the first one after a gap, count for nothing yet.
            held.or_else(|| counter.read(None, at, 0.0))
        });
    }

    fn follow(
        &mut self,
        key: &(GaugeSubject, GaugeMetric),
        name: CounterName,
        read: impl FnOnce(&mut Counter) -> Option<Increase>,
    ) {
        let known = self.groups.get(key).is_some_and(|group| group.counters.contains_key(&name));
        if !known {
            if self.counters >= MAX_COUNTERS {
                self.refused += 1;
                return;
            }
            self.counters += 1;
        }
        let group = self.groups.entry(key.clone()).or_default();
        let step = self.step;
        let followed = group.counters.entry(name).or_insert_with(|| Followed {
            counter: Counter::new(MAX_GAP_MS.max(4 * step.ms())),
            steps: Steps::new(step),
            pause_ms: None,
        });
        let before = followed.counter.last_read();
        if let Some(increase) = read(&mut followed.counter) {
            followed.steps.add(increase);
        }
        let pause_ms = followed.counter.last_read().zip(before).map(|(now, before)| now.ms_since(before));
        followed.pause_ms = followed.pause_ms.max(pause_ms.filter(|pause_ms| *pause_ms > 0));
    }

    /// Means of the steps that are complete, and forgets counters that fell silent.
    pub(super) fn take(&mut self) -> Vec<Gauge> {
        let mut gauges = Vec::new();
        let (step, source) = (self.step, self.source);
        let patience = PATIENCE_MS.max(3 * step.ms());
        for ((subject, metric), group) in &mut self.groups {
            let reads = || group.counters.values().filter_map(|followed| followed.counter.last_read());
            let Some(newest) = reads().max() else { continue };
            let pause_ms = group.counters.values().filter_map(|followed| followed.pause_ms).max();
            let patience = pause_ms.map_or(patience, |pause_ms| patience.min(LOST_READINGS * pause_ms));
            let waited_for = newest.plus_ms(-patience);
            let complete = reads().filter(|last| *last >= waited_for).min().unwrap_or(newest);
            let mut whole: BTreeMap<Timestamp, StepPart> = BTreeMap::new();
            for followed in group.counters.values_mut() {
                for (start, part) in followed.steps.take(complete) {
                    let sum = whole.entry(start).or_default();
                    sum.amount += part.amount;
                    sum.covered_ms = sum.covered_ms.max(part.covered_ms);
                }
            }
            let given_to = group.given_to;
            let new = whole.into_iter().filter(|(start, _)| given_to.is_none_or(|given| *start >= given));
            for (start, part) in new {
                group.given_to = Some(start.plus_ms(step.ms()));
                if part.covered_ms as f64 >= LEAST_COVERED * step.ms() as f64 {
                    let value = part.amount / (part.covered_ms as f64 / 1e3);
                    let at = start.plus_ms(step.ms() / 2);
                    gauges.push(Gauge { subject: subject.clone(), metric: *metric, source, at, value });
                }
            }
            group
                .counters
                .retain(|_, followed| followed.counter.last_read().is_none_or(|last| last >= waited_for));
        }
        self.groups.retain(|_, group| !group.counters.is_empty());
        self.counters = self.groups.values().map(|group| group.counters.len()).sum();
        gauges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_unix_ms(s * 1000)
    }

    fn key() -> (GaugeSubject, GaugeMetric) {
        (GaugeSubject::Node("n1".into()), GaugeMetric::CpuUsedMillicores)
    }

    fn taken(rates: &mut Rates) -> Vec<(i64, f64)> {
        rates.take().iter().map(|gauge| (gauge.at.unix_ms() / 1000, gauge.value)).collect()
    }

    #[test]
    fn a_step_waits_for_all_its_counters() {
        let mut rates = Rates::new(Step::MINUTE, GaugeSource::NodeExporter);
        for s in [0, 30, 60, 90] {
            rates.read(&key(), "cpu0".into(), None, at(s), s as f64);
        }
        for s in [0, 30] {
            rates.read(&key(), "cpu1".into(), None, at(s), 2.0 * s as f64);
        }
        assert_eq!(taken(&mut rates), [], "cpu1 was not read after the end of the step");
        rates.read(&key(), "cpu1".into(), None, at(75), 150.0);
        assert_eq!(taken(&mut rates), [(30, 3.0)]);
        assert_eq!(taken(&mut rates), [], "each step once");
    }

    #[test]
    fn a_counter_that_fell_silent_is_not_waited_for_long() {
        let mut rates = Rates::new(Step::MINUTE, GaugeSource::NodeExporter);
        rates.read(&key(), "gone".into(), None, at(0), 0.0);
        rates.read(&key(), "gone".into(), None, at(60), 60.0);
        for s in 0..10 {
            rates.read(&key(), "here".into(), None, at(s * 30), s as f64 * 30.0);
        }
        assert_eq!(taken(&mut rates), [(30, 2.0), (90, 1.0), (150, 1.0), (210, 1.0)]);
    }

    #[test]
    fn the_more_often_counters_are_read_the_sooner_a_silent_one_is_given_up() {
        let mut rates = Rates::new(Step::from_ms(1000).unwrap(), GaugeSource::Otlp);
        let mut told = Vec::new();
        for s in (0..30).step_by(2) {
            rates.read(&key(), "here".into(), None, at(s), s as f64);
            if s <= 10 {
                rates.read(&key(), "gone".into(), None, at(s), s as f64);
            }
            told.extend(rates.take().iter().map(|gauge| (s, gauge.at.unix_ms() / 1000, gauge.value)));
        }
        assert_eq!(
            told.iter().filter(|(read_at, ..)| (12..22).contains(read_at)).count(),
            0,
            "it is waited for"
        );
        assert!(told.contains(&(10, 9, 2000.0 / 1000.0)), "{told:?}");
        assert!(told.contains(&(22, 10, 1.0)) && told.contains(&(22, 21, 1.0)), "{told:?}");
    }

    #[test]
    fn levels_of_replicas_are_added_up() {
        let mut rates = Rates::new(Step::MINUTE, GaugeSource::Otlp);
        for s in [0, 20, 40, 60] {
            rates.level(&key(), "a".into(), at(s), 100.0);
            rates.level(&key(), "b".into(), at(s), if s <= 40 { 10.0 } else { 40.0 });
        }
        assert_eq!(taken(&mut rates), [(30, 120.0)]);
        // After a gap the first reading stands for nothing.
        for s in [500, 530, 560, 600] {
            rates.level(&key(), "a".into(), at(s), 7.0);
        }
        rates.level(&key(), "a".into(), at(610), f64::NAN);
        assert_eq!(taken(&mut rates), [(510, 7.0), (570, 7.0)]);
    }

    #[test]
    fn a_step_that_is_mostly_unknown_is_a_gap() {
        let mut rates = Rates::new(Step::MINUTE, GaugeSource::NodeExporter);
        for s in [45, 75, 100, 130] {
            rates.read(&key(), "cpu0".into(), None, at(s), s as f64);
        }
        assert_eq!(taken(&mut rates), [(90, 1.0)], "15 s of the first minute are too few");
    }
}
