//! What a planner has seen of the world: series of each quantity, and the newest steps of each service.
use foremesh_core::{
    history::{Metric, ServiceHistory, ServiceStep},
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    inputs::Measured,
    learned::{CallCount, CallGraph, DistanceSample, Proximity, Served},
    series::Series,
    time::{Step, Timestamp},
};
use foremesh_world::EdgeObserved;
use std::collections::{BTreeMap, VecDeque};

/// Minutes of one sample of distances.
const HOUR: usize = 60;

/// Hours of which distances are kept.
const HOURS: usize = 24;

/// One quantity of one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Service(ServiceId, Metric),
    NodeUse(NodeId),
    NodeBackground(NodeId),
    WorkloadUse(WorkloadId),
}

impl Subject {
    /// Name of the quantity with its unit.
    pub(crate) fn metric(&self) -> String {
        match self {
            Self::Service(_, metric) => metric.name(),
            Self::NodeUse(_) | Self::WorkloadUse(_) => "cpu_used_millicores".to_owned(),
            Self::NodeBackground(_) => "cpu_background_millicores".to_owned(),
        }
    }

    /// What it is about.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Service(service, _) => service.as_str(),
            Self::NodeUse(node) | Self::NodeBackground(node) => node.as_str(),
            Self::WorkloadUse(workload) => workload.as_str(),
        }
    }
}

/// Everything that was observed so far.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    start: Timestamp,
    minutes: usize,
    series: BTreeMap<Subject, Series>,
    newest: BTreeMap<ServiceId, ServiceHistory>,
    /// Calls by caller and callee.
    calls: BTreeMap<(ServiceId, ServiceId), u64>,
    /// Requests of each service in the minutes that `calls` covers.
    requests: BTreeMap<ServiceId, u64>,
    /// Milliseconds on the way and calls behind them, by caller's and callee's node, for each of the last hours.
    distances: VecDeque<BTreeMap<(NodeId, NodeId), (f64, u64)>>,
}

impl Memory {
    pub(crate) const STEP: Step = Step::MINUTE;

    pub(crate) const fn new(start: Timestamp) -> Self {
        Self {
            start,
            minutes: 0,
            series: BTreeMap::new(),
            newest: BTreeMap::new(),
            calls: BTreeMap::new(),
            requests: BTreeMap::new(),
            distances: VecDeque::new(),
        }
    }

    /// Start of the first minute.
    pub(crate) const fn start(&self) -> Timestamp {
        self.start
    }

    /// Minutes that were observed.
    pub(crate) const fn minutes(&self) -> usize {
        self.minutes
    }

    /// End of the newest minute.
    pub(crate) fn now(&self) -> Timestamp {
        self.start.plus_ms(Self::STEP.times(self.minutes))
    }

    /// Takes in one value for the minute that is over next.
    pub(crate) fn observe(&mut self, subject: Subject, value: f64) {
        let series =
            self.series.entry(subject).or_insert_with(|| Series::new(self.start, Self::STEP, Vec::new()));
        series.pad(self.minutes);
        series.push(value);
    }

    /// Takes in what one service did in the minute that is over next; `None` when nothing is known.
    pub(crate) fn observe_service(&mut self, service: &ServiceId, step: Option<ServiceStep>) {
        for metric in [Metric::Latency(3), Metric::Throughput] {
            let value = step.as_ref().and_then(|step| step.value(metric, Self::STEP));
            self.observe(Subject::Service(service.clone(), metric), value.unwrap_or(f64::NAN));
        }
        let requests = step.as_ref().map_or(0, |step| u64::from(step.requests));
        *self.requests.entry(service.clone()).or_default() += requests;
        let start = self.now();
        let newest = self.newest.entry(service.clone()).or_insert_with(|| ServiceHistory {
            service: service.clone(),
            start,
            step: Self::STEP,
            steps: Vec::new(),
        });
        newest.steps.push(step);
    }

    /// Takes in who called whom, and how long it took on the way.
    pub(crate) fn observe_edges(&mut self, edges: &[EdgeObserved]) {
        if self.minutes.is_multiple_of(HOUR) || self.distances.is_empty() {
            self.distances.push_back(BTreeMap::new());
            if self.distances.len() > HOURS {
                self.distances.pop_front();
            }
        }
        for edge in edges {
            let (caller, callee) = (ServiceId::new(&*edge.caller), ServiceId::new(&*edge.callee));
            *self.calls.entry((caller, callee)).or_default() += edge.calls;
            let Some(hour) = self.distances.back_mut() else { continue };
            for pair in &edge.pairs {
                let key = (NodeId::new(&*pair.from), NodeId::new(&*pair.to));
                let (sum_ms, calls) = hour.entry(key).or_default();
                *sum_ms += pair.delay_ms * f64::from(pair.samples);
                *calls += u64::from(pair.samples);
            }
        }
    }

    /// Who calls whom, as the planner learns it of its proxies.
    pub(crate) fn call_graph(&self) -> CallGraph {
        let count = |((caller, callee), calls): (&(ServiceId, ServiceId), &u64)| CallCount {
            caller: caller.clone(),
            callee: callee.clone(),
            calls: *calls,
            retries: 0,
        };
        let counts: Vec<CallCount> = self.calls.iter().map(count).collect();
        let served = self.requests.iter().map(|(service, requests)| {
            let median_ms = self.measured(service).and_then(|now| now.latency(0.5));
            (service.clone(), Served { requests: *requests, median_ms })
        });
        CallGraph::fit(&counts, &served.collect())
    }

    /// How far nodes are from one another.
    pub(crate) fn proximity(&self, zones: &BTreeMap<NodeId, Zone>) -> Proximity {
        let hours = self.distances.iter().flatten().filter(|(_, (_, calls))| *calls > 0);
        let sample = |((caller, callee), (sum_ms, calls)): (&(NodeId, NodeId), &(f64, u64))| DistanceSample {
            caller: caller.clone(),
            callee: callee.clone(),
            difference_ms: sum_ms / *calls as f64,
            calls: *calls,
        };
        Proximity::fit(&hours.map(sample).collect::<Vec<_>>(), zones)
    }

    /// The minute is over, and it is `now`.
    pub(crate) fn end_minute(&mut self, now: Timestamp) {
        self.minutes += 1;
        debug_assert_eq!(self.now(), now);
        for series in self.series.values_mut() {
            series.pad(self.minutes);
        }
        let end = self.now();
        for newest in self.newest.values_mut() {
            // A lost report is a step without anything.
            if newest.start.plus_ms(Self::STEP.times(newest.steps.len())) < end {
                newest.steps.push(None);
            }
            if newest.steps.len() > Measured::STEPS {
                newest.steps.remove(0);
                newest.start = newest.start.plus_ms(Self::STEP.ms());
            }
        }
    }

    /// What a service does now.
    pub(crate) fn measured(&self, service: &ServiceId) -> Option<Measured> {
        Measured::newest(self.newest.get(service)?)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Subject, &Series)> {
        self.series.iter()
    }

    pub(crate) fn series(&self, subject: &Subject) -> Option<&Series> {
        self.series.get(subject)
    }
}
