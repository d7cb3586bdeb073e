//! A day of a made-up mesh under the planner: what happens is measured, decided on, checked and carried out.
use crate::{
    cluster::{Cluster, Happened},
    faults::{Fault, Schedule},
    generate,
    invariants::{Checked, check},
    planner::Planner,
    policies::{Wanted, policies},
    random::Random,
    rollouts::{Flight, Outcome},
    store::{Key, STEP_MS, Store},
    tally::Tally,
};
use foremesh_core::{
    forecast::{Excluded, ForecastSettings},
    gauge::GaugeMetric,
    history::Metric,
    ids::{ServiceId, WorkloadId},
    inputs::{OwnedInputs, Settings, metrics_needed},
    plan::Plan,
    policy::{PastMove, RelocationPolicy},
    time::Timestamp,
    topology::{Node, NodeState, Replica, Snapshot, Workload},
    units::Millicores,
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps of a day, and those before it that the planner finds recorded.
const DAY: usize = 288;
const BEFORE: usize = 48;
/// 2026-01-05 00:00 UTC, a Monday.
const BEGIN: i64 = 1_767_571_200_000;

/// A seed's day, up to the first thing that is wrong.
pub(crate) fn run(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut day = Day::new(seed);
    for step in 0..BEFORE + DAY {
        day.step(step, tally).map_err(|wrong| format!("step {step}: {wrong}"))?;
    }
    tally.count("days");
    Ok(())
}

struct Day {
    random: Random,
    cluster: Cluster,
    schedule: Schedule,
    store: Store,
    planner: Planner,
    wanted: Vec<Wanted>,
    settings: Settings,
    flights: Vec<Flight>,
    past: Vec<PastMove>,
    /// When services had traffic at two places.
    shared: BTreeMap<ServiceId, Vec<Excluded>>,
    durations: BTreeMap<WorkloadId, i64>,
    /// How far the planner's clock is ahead, in milliseconds.
    ahead_ms: i64,
    /// When it was last set back, in true time.
    set_back_ms: Option<i64>,
    last_snapshot: Option<Snapshot>,
    replicas_made: usize,
}

impl Day {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let season = random.chance(0.3).then_some(24);
        let mut cluster = generate::cluster(&mut random, BEFORE + DAY, season);
        // Every other day, so that each seed keeps its world.
        cluster.weights = seed.is_multiple_of(2);
        let schedule = Schedule::new(&mut random, &cluster, BEFORE + DAY);
        let limit_ms = random.one_of(&[600_000, 900_000]);
        let settings = Settings {
            max_utilisation: random.between(0.6, 0.9),
            max_concurrent_moves: random.count(1, 4),
            default_move_duration_ms: random.one_of(&[60_000, 300_000, 900_000]),
            forecast_limit_ms: limit_ms,
            ..Settings::default()
        };
        let how = ForecastSettings::new(12, season, limit_ms);
        let mut new = Self {
            cluster,
            schedule,
            store: Store::default(),
            planner: Planner::new(how),
            wanted: Vec::new(),
            settings,
            flights: Vec::new(),
            past: Vec::new(),
            shared: BTreeMap::new(),
            durations: BTreeMap::new(),
            ahead_ms: 0,
            set_back_ms: None,
            last_snapshot: None,
            replicas_made: 100,
            random: random.fork(),
        };
        new.make_policies(0);
        new
    }

    fn make_policies(&mut self, step: usize) {
        let from = Self::true_end(step).plus_ms(self.ahead_ms);
        let to = Self::true_end(BEFORE + DAY).plus_ms(self.ahead_ms);
        self.wanted = policies(&mut self.random, &self.cluster, from, to);
    }

    /// End of a step in truth.
    fn true_end(step: usize) -> Timestamp {
        Timestamp::from_unix_ms(BEGIN + STEP_MS * i64::try_from(step + 1).unwrap())
    }

    fn step(&mut self, step: usize, tally: &mut Tally) -> Result<(), String> {
        for (_, by_ms) in self.schedule.clock_steps.iter().filter(|(at, _)| *at == step) {
            self.ahead_ms += by_ms;
            if *by_ms < 0 {
                self.set_back_ms = Some(Self::true_end(step).unix_ms());
            }
            tally.count(if *by_ms < 0 { "fault: clock set back" } else { "fault: clock set forward" });
        }
        if self.schedule.policy_changes.contains(&step) {
            self.make_policies(step);
            tally.count("fault: policies changed");
        }
        if self.schedule.restarts.contains(&step) {
            self.planner.restart();
            tally.count("fault: planner restarted");
        }
        for fault in self.schedule.now(step) {
            tally.count(format!("fault: steps with {}", fault.name()));
        }
        let now = Self::true_end(step).plus_ms(self.ahead_ms + self.random.count(0, 200_000) as i64);
        self.fly(now, tally);
        let happened = self.cluster.happen(step, &self.flights);
        self.measure(step, &happened);
        if step < BEFORE || self.schedule.is(step, &Fault::Asleep) {
            return Ok(());
        }
        let inputs = self.gather(step, now, &happened);
        let checked = Checked {
            inputs: &inputs,
            wanted: &self.wanted,
            flights: &self.flights,
            past: &self.past,
            store: &self.store,
            true_now_ms: Self::true_end(step).unix_ms(),
            set_back_ms: self.set_back_ms,
            thorough: step.is_multiple_of(12),
        };
        if let Some(plan) = check(&checked, tally)? {
            self.carry_out(&inputs, &plan, tally);
        }
        Ok(())
    }

    /// Moves that are under way come one step further.
    fn fly(&mut self, now: Timestamp, tally: &mut Tally) {
        let mut flying: Vec<Flight> = Vec::new();
        let mut failed: Vec<WorkloadId> = Vec::new();
        let going: Vec<WorkloadId> =
            self.flights.iter().map(|flight| flight.planned.workload.clone()).collect();
        for mut flight in std::mem::take(&mut self.flights) {
            if flight.waits_for.iter().any(|before| failed.contains(before)) {
                tally.count("moves over: given up with the one before");
                continue;
            }
            if flight.waits_for.iter().any(|before| going.contains(before)) {
                tally.count("steps that moves waited for others");
                flying.push(flight);
                continue;
            }
            let shifted = flight.shifted_at;
            let over = flight.advance(now);
            let spans = self.shared.entry(flight.planned.service.clone()).or_default();
            if let Some(at) = flight.shifted_at.filter(|_| shifted.is_none()) {
                spans.push(Excluded { from: at, to: Timestamp::from_unix_ms(i64::MAX) });
            }
            let Some(outcome) = over else {
                flying.push(flight);
                continue;
            };
            if let Some(begun) = flight.shifted_at
                && let Some(span) = spans.iter_mut().find(|span| span.from == begun)
            {
                span.to = now;
            }
            spans.sort_by_key(|span| (span.to, span.from));
            tally.count(format!("moves over: {outcome:?}"));
            self.past.push(flight.past(outcome, now));
            if outcome == Outcome::Succeeded {
                // Where nothing is started, nothing is learned of how long that takes.
                if !flight.planned.is_shift() {
                    let took = now.ms_since(flight.started_at).max(0);
                    self.durations.insert(flight.planned.workload.clone(), took);
                }
                self.cluster.replace(&flight);
            } else {
                failed.push(flight.planned.workload);
            }
        }
        self.flights = flying;
    }

    /// What arrives of what happened.
    fn measure(&mut self, step: usize, happened: &Happened) {
        if self.schedule.is(step, &Fault::Silence) {
            return;
        }
        let truly = Self::true_end(step).unix_ms();
        let at = Timestamp::from_unix_ms(truly - STEP_MS + self.ahead_ms);
        let mut record = |key, value| self.store.record(key, at, truly, value);
        for (service, answered) in &happened.services {
            // Without requests there is nothing to measure.
            if answered.rps > 0.0 && !self.schedule.is(step, &Fault::SilentService(service.clone())) {
                record(Key::Service(service.to_string(), Metric::Throughput), answered.rps);
                record(Key::Service(service.to_string(), Metric::Latency(3)), answered.p99_ms);
                record(Key::Service(service.to_string(), Metric::Availability), 1.0 - answered.failed);
            }
        }
        for (node, cpu) in &happened.node_cpu {
            if !self.schedule.is(step, &Fault::SilentNode(node.clone())) {
                record(Key::Node(node.to_string(), GaugeMetric::CpuUsedMillicores), *cpu);
                let background = happened.node_background[node];
                record(Key::Node(node.to_string(), GaugeMetric::CpuBackgroundMillicores), background);
                record(Key::Node(node.to_string(), GaugeMetric::MemoryUsedBytes), happened.node_memory[node]);
            }
        }
        for (workload, cpu) in &happened.workload_cpu {
            record(Key::Workload(workload.to_string(), GaugeMetric::CpuUsedMillicores), *cpu);
            let memory = happened.workload_memory[workload];
            record(Key::Workload(workload.to_string(), GaugeMetric::MemoryUsedBytes), memory);
        }
    }

    /// Everything that the decision looks at.
    fn gather(&mut self, step: usize, now: Timestamp, happened: &Happened) -> OwnedInputs {
        let stale = self.schedule.is(step, &Fault::StaleSnapshot);
        let snapshot = match self.last_snapshot.take().filter(|_| stale) {
            Some(old) => old,
            None => self.snapshot(step, now, happened),
        };
        self.last_snapshot = Some(snapshot.clone());
        let policies: Vec<RelocationPolicy> =
            self.wanted.iter().map(|wanted| wanted.policy.clone()).collect();
        let keys = self.keys(&policies);
        let mut inputs = self.planner.forecast(&self.store, &keys, &self.shared, snapshot, now);
        let ahead = now.plus_ms(3_600_000);
        let freezes = self.wanted.iter().flat_map(|wanted| &wanted.freezes);
        inputs.freezes = freezes.filter(|freeze| freeze.to > now && freeze.from < ahead).cloned().collect();
        inputs.policies = policies;
        inputs.past_moves.clone_from(&self.past);
        inputs.in_flight = self.flights.iter().map(Flight::in_flight).collect();
        inputs.move_duration_ms.clone_from(&self.durations);
        inputs.settings = self.settings;
        inputs
    }

    /// The series that somebody looks at.
    fn keys(&self, policies: &[RelocationPolicy]) -> BTreeSet<Key> {
        let looks = |word: &str| self.wanted.iter().any(|wanted| wanted.text.contains(word));
        let mut keys = BTreeSet::new();
        for service in self.cluster.services.keys() {
            let metrics = metrics_needed(policies, service).into_iter();
            keys.extend(metrics.map(|metric| Key::Service(service.to_string(), metric)));
        }
        for node in self.cluster.machines.keys() {
            keys.insert(Key::Node(node.to_string(), GaugeMetric::CpuUsedMillicores));
            keys.insert(Key::Node(node.to_string(), GaugeMetric::CpuBackgroundMillicores));
            if looks("memory") {
                keys.insert(Key::Node(node.to_string(), GaugeMetric::MemoryUsedBytes));
            }
        }
        if looks("\"of\":\"workload\"") {
            for workload in self.cluster.workloads.keys() {
                keys.insert(Key::Workload(workload.to_string(), GaugeMetric::CpuUsedMillicores));
                keys.insert(Key::Workload(workload.to_string(), GaugeMetric::MemoryUsedBytes));
            }
        }
        keys
    }

    /// What the platform says, with the faults of the moment.
    fn snapshot(&self, step: usize, now: Timestamp, happened: &Happened) -> Snapshot {
        let mut snapshot = Snapshot::empty(now);
        snapshot.capabilities.weights = self.cluster.weights;
        for (id, machine) in &self.cluster.machines {
            if self.schedule.is(step, &Fault::Away(id.clone())) {
                continue;
            }
            let mut node = Node { used: Millicores::new(happened.node_cpu[id]).ok(), ..machine.node.clone() };
            if self.schedule.is(step, &Fault::SilentNode(id.clone())) {
                node.used = None;
            }
            if self.schedule.is(step, &Fault::Cordoned(id.clone())) {
                node.state = NodeState::Cordoned;
            }
            if self.schedule.is(step, &Fault::Unreachable(id.clone())) {
                node.state = NodeState::Unreachable("connection refused".to_owned());
            }
            snapshot.nodes.insert(id.clone(), node);
        }
        for (id, workload) in &self.cluster.workloads {
            let mut workload: Workload = workload.clone();
            let faulty = |fault: fn(WorkloadId) -> Fault| self.schedule.is(step, &fault(id.clone()));
            workload.used = happened.workload_cpu.get(id).and_then(|cpu| Millicores::new(*cpu).ok());
            if faulty(Fault::NoCpu) {
                workload.used = None;
            }
            if faulty(Fault::Pinned) {
                workload.pinned = Some("the operator said so".to_owned());
            }
            if faulty(Fault::Changing) {
                workload.scheduling.changing = Some("a new version".to_owned());
            }
            if faulty(Fault::Scaling)
                && let Some(autoscaler) = &mut workload.scheduling.autoscaler
            {
                autoscaler.scaling = true;
            }
            for flight in self.flights.iter().filter(|flight| flight.planned.workload == *id) {
                if let Some(ready) = flight.shown() {
                    let successor = Replica::new(flight.planned.to.clone(), ready);
                    workload.replicas.insert(flight.successor.clone(), successor);
                }
            }
            for (replica, placed) in workload.replicas.iter_mut().filter(|_| self.cluster.weights) {
                let moving = self.flights.iter().find_map(|flight| flight.weight_of(id, replica));
                placed.weight = moving.unwrap_or(placed.weight);
            }
            if faulty(Fault::NotReady)
                && let Some(replica) = workload.replicas.values_mut().next()
            {
                replica.ready = false;
            }
            snapshot.workloads.insert(id.clone(), workload);
        }
        snapshot
    }

    fn carry_out(&mut self, inputs: &OwnedInputs, plan: &Plan, tally: &mut Tally) {
        self.planner.newest = Some((plan.id.clone(), plan.generation));
        for planned in &plan.moves {
            tally.count("moves");
            self.replicas_made += 1;
            let successor = Cluster::new_replica(&planned.workload, self.replicas_made);
            let flight = Flight::new(planned.clone(), successor, inputs.now, &mut self.random);
            self.flights.push(flight);
        }
    }
}
