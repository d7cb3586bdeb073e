//! From the inputs of a pass to the mesh as numbers.
use super::{
    Fitted, MeshModel, NodeModel, Objective, ReplicaModel, ServiceModel, WorkloadModel,
    calibrate::calibrate,
    distances::{Distances, NO_ZONE},
    shares::{Moving, Weights},
};
use crate::{
    forecast::LEVELS,
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    inputs::Inputs,
    topology::Workload,
    twin::{
        LEAST_RPS, MEDIAN, TwinUnknown,
        calls::{Calls, starts},
        lanes::{KNOTS, LANES, Window, lane},
        sharing::speed,
        tail_fit::TailTable,
    },
    units::Quantile,
};
use std::collections::{BTreeMap, BTreeSet};

/// Squared coefficient of variation of the demand of a workload of which nothing else is known: exponential.
const USUAL_SCV: f32 = 1.0;

impl MeshModel {
    /// Builds the model of everything that the inputs know of.
    pub fn build(inputs: &Inputs<'_>) -> Self {
        let window = Window::of(inputs);
        let snapshot = inputs.snapshot;
        let node_ids: Vec<NodeId> = snapshot.nodes.keys().cloned().collect();
        let zones: BTreeSet<&Zone> = snapshot.nodes.values().filter_map(|node| node.zone.as_ref()).collect();
        let zones: Vec<&Zone> = zones.into_iter().collect();
        let service_ids = service_ids(inputs);
        let mut mesh = Self {
            window,
            nodes: Vec::with_capacity(node_ids.len()),
            background: Vec::with_capacity(node_ids.len()),
            workload_ids: snapshot.workloads.keys().cloned().collect(),
            workloads: Vec::with_capacity(snapshot.workloads.len()),
            replica_ids: Vec::new(),
            replicas: Vec::new(),
            services: Vec::with_capacity(service_ids.len()),
            rates: Vec::with_capacity(service_ids.len()),
            replicas_of: Vec::new(),
            first_replica_of: Vec::new(),
            calls: Calls::new(&inputs.learned.graph, &service_ids),
            distances: Distances::new(&inputs.learned.proximity, &node_ids, &zones),
            tables: Vec::new(),
            max_utilisation: inputs.settings.max_utilisation as f32,
            error: inputs.learned.twin.spread(),
            node_ids,
            service_ids,
        };
        mesh.add_nodes(inputs, &zones);
        let why = mesh.add_services(inputs);
        mesh.add_workloads(inputs, &why);
        mesh.find_background(inputs);
        mesh.find_unknown(why);
        mesh.expect_strangers(inputs);
        calibrate(&mut mesh, inputs);
        mesh
    }

    fn add_nodes(&mut self, inputs: &Inputs<'_>, zones: &[&Zone]) {
        for (id, node) in &inputs.snapshot.nodes {
            let capacity = node.capacity.get();
            let forecast = inputs.nodes.get(id).and_then(|forecast| forecast.as_ref().ok());
            let used = forecast.and_then(|forecast| self.window.fullest(forecast)).filter(|_| capacity > 0.0);
            let zone = node.zone.as_ref().and_then(|zone| zones.binary_search(&zone).ok());
            self.nodes.push(NodeModel {
                capacity: capacity as f32,
                cores: (capacity / 1e3) as f32,
                speed: speed(capacity) as f32,
                zone: zone.map_or(NO_ZONE, |zone| zone as u32),
                unknown: used.is_none().then(|| TwinUnknown::NodeUnknown { node: id.clone() }),
            });
            self.background.push(used.unwrap_or([0.0; LANES]));
        }
    }

    /// Something of unknown size is on its way to a node: nothing is known of that node any more.
    fn expect_strangers(&mut self, inputs: &Inputs<'_>) {
        for moving in inputs.in_flight {
            let stranger = self.replica_ix(&moving.workload, &moving.replica).is_none();
            if let Some(node) = self.node_ix(&moving.to).filter(|_| stranger) {
                self.nodes[node].unknown = Some(TwinUnknown::NodeUnknown { node: moving.to.clone() });
            }
        }
    }

    /// Gives why the throughput of each service is not known.
    fn add_services(&mut self, inputs: &Inputs<'_>) -> Vec<Option<TwinUnknown>> {
        let mut tiers: BTreeMap<&ServiceId, f64> = BTreeMap::new();
        for workload in inputs.snapshot.workloads.values() {
            let tier = tiers.entry(&workload.service).or_default();
            // A service of several workloads matters as much as the one that matters most.
            *tier = tier.max(workload.tier.weight());
        }
        let mut why = Vec::with_capacity(self.service_ids.len());
        let ids = std::mem::take(&mut self.service_ids);
        for id in &ids {
            let rates = self.window.throughput(id, inputs.forecast(id, Metric::Throughput));
            let known = rates.as_ref().copied().unwrap_or([0.0; LANES]);
            let requests = (0..KNOTS).map(|knot| known[lane(knot, MEDIAN)]).fold(0.0, f32::max);
            let weight = tiers.get(id).copied().unwrap_or(0.0) as f32 * requests;
            let objective = self.objective_of(inputs, id);
            self.services.push(ServiceModel {
                unknown: None,
                objective,
                weight,
                requests,
                fitted: Fitted::NOT,
            });
            self.rates.push(known);
            why.push(rates.err());
        }
        self.service_ids = ids;
        why
    }

    /// The objective that is nearest to what is measured, relatively; the lowest one when nothing is.
    fn objective_of(&mut self, inputs: &Inputs<'_>, service: &ServiceId) -> Option<Objective> {
        let measured = inputs.services.get(service).and_then(|known| known.measured);
        let policies = inputs.policies.iter().filter(|policy| policy.selects(service));
        let rules = policies.flat_map(|policy| &policy.rules).filter_map(|rule| rule.latency());
        let strictness = |quantile: Quantile, above_ms: f64| {
            let now = measured.and_then(|measured| measured.latency(quantile.get()));
            now.filter(|ms| *ms > 0.0).unwrap_or(1.0) / above_ms
        };
        let strictest = rules.max_by(|a, b| {
            strictness(a.quantile, a.above_ms)
                .total_cmp(&strictness(b.quantile, b.above_ms))
                .then(a.within_ms.cmp(&b.within_ms))
        })?;
        Some(Objective {
            quantile: strictest.quantile,
            above_ms: strictest.above_ms,
            within_ms: strictest.within_ms,
            table: self.table(strictest.quantile),
            knots: self.window.knots(strictest.within_ms),
        })
    }

    /// Place of the table of a quantile. There are as many as quantiles that are kept, so looking through them is quick.
    pub(super) fn table(&mut self, quantile: Quantile) -> usize {
        if let Some(at) = self.tables.iter().position(|table| table.level() == quantile) {
            return at;
        }
        self.tables.push(TailTable::new(quantile));
        self.tables.len() - 1
    }

    fn add_workloads(&mut self, inputs: &Inputs<'_>, why: &[Option<TwinUnknown>]) {
        let mut all = vec![Weights::default(); self.service_ids.len()];
        let services: Vec<usize> = inputs
            .snapshot
            .workloads
            .values()
            .map(|workload| self.service_ids.binary_search(&workload.service).unwrap_or_default())
            .collect();
        for (workload, service) in inputs.snapshot.workloads.values().zip(&services) {
            workload.replicas.values().for_each(|replica| all[*service].add(replica.weight));
        }
        let moving = Moving::of(inputs);
        for (place, ((id, workload), service)) in inputs.snapshot.workloads.iter().zip(&services).enumerate()
        {
            let all = all[*service];
            let own_share =
                workload.replicas.values().map(|replica| f64::from(all.share(replica.weight))).sum();
            let throughput = why[*service].as_ref();
            let model = self.workload_of(inputs, id, workload, own_share, throughput);
            self.workloads.push(model);
            for (replica, placed) in &workload.replicas {
                // A node that nobody reported is no place: the replica is then left out, and its workload unknown.
                let Some(home) = self.node_ix(&placed.node) else {
                    let unknown = TwinUnknown::NodeUnknown { node: placed.node.clone() };
                    self.workloads[place].unknown.get_or_insert(unknown);
                    continue;
                };
                let to = moving.to(id, replica).and_then(|to| self.node_ix(to));
                self.replica_ids.push(replica.clone());
                self.replicas.push(ReplicaModel {
                    workload: place as u32,
                    service: *service as u32,
                    home: home as u32,
                    start: to.unwrap_or(home) as u32,
                    share: all.share(placed.weight),
                    weight: all.counted(moving.weight(id, replica).unwrap_or(placed.weight)),
                });
            }
        }
        let count = self.service_ids.len();
        self.first_replica_of = starts(count, self.replicas.iter().map(|replica| replica.service));
        let mut of: Vec<u32> = (0..self.replicas.len() as u32).collect();
        of.sort_by_key(|replica| (self.replicas[*replica as usize].service, *replica));
        self.replicas_of = of;
    }

    fn workload_of(
        &self,
        inputs: &Inputs<'_>,
        id: &WorkloadId,
        workload: &Workload,
        own_share: f64,
        throughput: Option<&TwinUnknown>,
    ) -> WorkloadModel {
        let demand = demand_of(inputs, id, workload, own_share);
        let (core_ms, idle, unknown) = match demand {
            Ok((core_ms, idle)) => (core_ms, idle, throughput.cloned()),
            Err(why) => (0.0, 0.0, Some(why)),
        };
        WorkloadModel {
            demand_core_ms: core_ms as f32,
            idle: idle as f32,
            scv: USUAL_SCV,
            limit_cores: workload
                .cpu_limit
                .map(|limit| (limit.get() / 1e3) as f32)
                .filter(|cores| *cores > 0.0),
            first_replica: self.replicas.len() as u32,
            unknown,
        }
    }

    /// What is on nodes besides the known replicas: as forecast, or what the node's forecast leaves without them. A
    /// replica of unknown load is in the node's forecast only, and so is what came before the background was measured.
    fn find_background(&mut self, inputs: &Inputs<'_>) {
        let mut whole = vec![true; self.nodes.len()];
        for replica in &self.replicas {
            let known = self.workloads[replica.workload as usize].unknown.is_none();
            whole[replica.home as usize] &= known;
        }
        let mut given = vec![false; self.nodes.len()];
        for (node, id) in self.node_ids.iter().enumerate() {
            let forecast = inputs.background.get(id).and_then(|forecast| forecast.as_ref().ok());
            let all = inputs.nodes.get(id).and_then(|forecast| forecast.as_ref().ok());
            let forecast = forecast.filter(|besides| all.is_none_or(|all| besides.knows_as_long_as(all)));
            let lanes = forecast.filter(|_| whole[node]).and_then(|forecast| self.window.fullest(forecast));
            if let Some(lanes) = lanes
                && self.nodes[node].capacity > 0.0
            {
                self.background[node] = lanes;
                self.nodes[node].unknown = None;
                given[node] = true;
            }
        }
        for replica in &self.replicas {
            let known = self.workloads[replica.workload as usize].unknown.is_none();
            if !known || given[replica.home as usize] {
                continue;
            }
            for lane in 0..LANES {
                let load = self.load(replica, replica.share, lane);
                self.background[replica.home as usize][lane] -= load;
            }
        }
        for lanes in &mut self.background {
            for value in lanes {
                *value = value.max(0.0);
            }
        }
    }

    /// A service is predicted when all its replicas are, where they run now.
    fn find_unknown(&mut self, mut throughput: Vec<Option<TwinUnknown>>) {
        for (service, why) in throughput.iter_mut().enumerate() {
            let replicas = self.of_service(service).iter().map(|replica| &self.replicas[*replica as usize]);
            let mut reasons = replicas.filter_map(|replica| {
                let workload = self.workloads[replica.workload as usize].unknown.as_ref();
                workload.or(self.nodes[replica.home as usize].unknown.as_ref())
            });
            let unknown = reasons.next().cloned().or_else(|| why.take());
            self.services[service].unknown = unknown;
        }
    }
}

fn service_ids(inputs: &Inputs<'_>) -> Vec<ServiceId> {
    let mut ids: BTreeSet<&ServiceId> = inputs.services.keys().collect();
    ids.extend(inputs.snapshot.workloads.values().map(|workload| &workload.service));
    ids.into_iter().cloned().collect()
}

/// CPU of one request in milliseconds of one core, and millicores of one replica without requests: as learned, or what
/// is in use now over the requests that come now.
fn demand_of(
    inputs: &Inputs<'_>,
    id: &WorkloadId,
    workload: &Workload,
    own_share: f64,
) -> Result<(f64, f64), TwinUnknown> {
    let learned = inputs.learned.demand.get(id).filter(|demand| {
        demand.core_ms.is_finite() && demand.core_ms > 0.0 && demand.idle_millicores.is_finite()
    });
    if workload.replicas.is_empty() {
        return Err(TwinUnknown::NoReplica { workload: id.clone() });
    }
    let no_cpu = || TwinUnknown::NoCpu { workload: id.clone() };
    let measured = inputs.services.get(&workload.service).and_then(|known| known.measured);
    let fresh = measured.filter(|measured| {
        measured.throughput_rps >= LEAST_RPS
            && inputs.now.ms_since(measured.at) <= inputs.settings.forecast_limit_ms
    });
    let rps = fresh.map(|measured| measured.throughput_rps * own_share);
    if let Some(demand) = learned {
        let idle = demand.idle_millicores.max(0.0);
        let busy = workload.used.map(|used| used.get() - idle * workload.replicas.len() as f64);
        // A new version that takes more shows at once in what is in use, and in the fit only after hours.
        let now = busy.zip(rps).map_or(0.0, |(busy, rps)| busy / rps);
        let grown = now > GROWN * demand.high_core_ms.max(demand.core_ms);
        return Ok((if grown { now } else { demand.core_ms }, idle));
    }
    let used = workload.used.ok_or_else(no_cpu)?;
    let rps = rps.ok_or_else(|| TwinUnknown::NoThroughput { service: workload.service.clone() })?;
    // A millicore is one millisecond of core time per second, so the quotient needs no factor.
    let core_ms = used.get() / rps;
    if !core_ms.is_finite() || core_ms <= 0.0 {
        return Err(no_cpu());
    }
    Ok((core_ms, 0.0))
}

/// CPU per request now over what was learned of it at most, from which on it has grown.
const GROWN: f64 = 1.25;

/// Every level has a lane in every knot.
const _: () = assert!(LANES == KNOTS * LEVELS.len());
