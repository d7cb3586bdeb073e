//! Random clusters whose replicas are where all their conditions let them be.
use crate::{
    bounds::{Occupied, objections},
    cluster::{Cluster, GIB},
    random::Random,
};
use foremesh_core::{
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    time::Timestamp,
    topology::{
        Autoscaler, BudgetHealth, DisruptionBudget, Effect, Operator, Quota, Replica, Requests, Requirement,
        Scheduling, Snapshot, Spread, Taint, Tier, Toleration, TopologyKey, Volume, Workload,
    },
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn cluster(random: &mut Random, steps: usize, season: Option<usize>) -> Cluster {
    let mut cluster = Cluster::new(random, steps, season);
    describe_nodes(random, &mut cluster);
    let services: Vec<ServiceId> = cluster.services.keys().cloned().collect();
    for service in &services {
        let versions = if random.chance(0.15) { 2 } else { 1 };
        for version in 0..versions {
            let id = WorkloadId::new(format!("{}-v{version}", service.as_str()));
            let mut workload = Workload {
                tier: random.one_of(&[Tier::Critical, Tier::Standard, Tier::Standard, Tier::BestEffort]),
                namespace: random.chance(0.7).then(|| random.one_of(&["shop", "back"]).to_owned()),
                ..Workload::new(service.clone())
            };
            let core_ms = cluster.services[service].demand_core_ms;
            if random.chance(0.5) {
                workload.requests.cpu_millicores = Some(20.0 * core_ms);
            }
            if random.chance(0.5) {
                workload.requests.memory_bytes = Some(random.between(0.1, 1.0) * GIB);
            }
            if random.chance(0.6) {
                workload.scheduling = scheduling(random, &cluster);
            }
            place(random, &mut cluster, &id, workload);
        }
    }
    bind(random, &mut cluster);
    share_quotas(&mut cluster);
    cluster
}

/// A quota is one of a namespace, so it holds for all workloads in it.
fn share_quotas(cluster: &mut Cluster) {
    let mut of: BTreeMap<String, Vec<Quota>> = BTreeMap::new();
    for workload in cluster.workloads.values() {
        if let Some(namespace) = &workload.namespace {
            let quotas = of.entry(namespace.clone()).or_default();
            quotas.extend(workload.scheduling.quotas.iter().take(usize::from(quotas.is_empty())).cloned());
        }
    }
    for workload in cluster.workloads.values_mut() {
        if let Some(quotas) = workload.namespace.as_ref().and_then(|namespace| of.get(namespace)) {
            workload.scheduling.quotas.clone_from(quotas);
        }
    }
}

fn describe_nodes(random: &mut Random, cluster: &mut Cluster) {
    let zones = random.count(1, 3);
    for machine in cluster.machines.values_mut() {
        let node = &mut machine.node;
        if random.chance(0.9) {
            node.zone = Some(Zone::new(format!("zone-{}", random.count(0, zones - 1))));
        }
        if random.chance(0.5) {
            node.labels.insert("disk".to_owned(), random.one_of(&["ssd", "hdd"]).to_owned());
        }
        if random.chance(0.12) {
            let effect = random.one_of(&[Effect::NoSchedule, Effect::NoExecute, Effect::PreferNoSchedule]);
            node.taints.push(Taint { key: "dedicated".to_owned(), value: "batch".to_owned(), effect });
        }
        if random.chance(0.1) {
            node.replica_limit = Some(random.count(1, 4) as u32);
        }
        if random.chance(0.2) {
            node.besides.requests = Requests {
                cpu_millicores: Some(node.capacity.get() * random.between(0.0, 0.8)),
                memory_bytes: node.memory_bytes.map(|memory| memory * random.between(0.0, 0.8)),
            };
        }
    }
}

/// Some conditions on places, a few for each workload.
fn scheduling(random: &mut Random, cluster: &Cluster) -> Scheduling {
    let mut scheduling = Scheduling::default();
    let zones: BTreeSet<String> =
        cluster.machines.values().filter_map(|m| Some(m.node.zone.as_ref()?.to_string())).collect();
    let zones: Vec<String> = zones.into_iter().collect();
    let nodes: Vec<&NodeId> = cluster.machines.keys().collect();
    for _ in 0..random.count(1, 2) {
        match random.count(0, 11) {
            0 => {
                let operator =
                    random.one_of(&[Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]);
                let values = BTreeSet::from([random.one_of(&["ssd", "hdd"]).to_owned()]);
                scheduling.requires.push(Requirement { key: "disk".to_owned(), operator, values });
            }
            1 => scheduling.tolerations.push(Toleration {
                key: "dedicated".to_owned(),
                value: None,
                effect: None,
            }),
            2 => _ = scheduling.apart.insert(random.one_of(&[TopologyKey::Node, TopologyKey::Zone])),
            3 => scheduling.max_per_node = Some(random.count(1, 2) as u32),
            4 | 5 => scheduling.spread.push(Spread {
                over: random.one_of(&[TopologyKey::Node, TopologyKey::Zone]),
                max_skew: random.count(1, 2),
            }),
            6 if !zones.is_empty() => scheduling.volumes.push(Volume {
                name: "records".to_owned(),
                zones: BTreeSet::from([zones[random.count(0, zones.len() - 1)].clone()]),
                nodes: BTreeSet::new(),
                exclusive: false,
            }),
            7 => scheduling.volumes.push(Volume {
                name: "cache".to_owned(),
                zones: BTreeSet::new(),
                nodes: (0..2).map(|_| random.one_of(&nodes).to_string()).collect(),
                exclusive: false,
            }),
            8 => _ = scheduling.host_ports.insert(random.one_of(&[80, 443])),
            9 => scheduling.budgets.push(DisruptionBudget {
                name: "budget".to_owned(),
                allowed_now: random.one_of(&[0, 1]),
                health: random.chance(0.5).then(|| BudgetHealth {
                    healthy: random.one_of(&[1, 2]),
                    wanted: random.one_of(&[1, 1, 2]),
                }),
            }),
            10 => scheduling.quotas.push(Quota {
                name: "quota".to_owned(),
                free: Requests { cpu_millicores: Some(random.between(0.0, 400.0)), memory_bytes: None },
                free_replicas: random.chance(0.5).then(|| random.one_of(&[0, 1, 3])),
            }),
            _ => {
                scheduling.autoscaler = Some(Autoscaler {
                    name: "autoscaler".to_owned(),
                    max_replicas: random.one_of(&[1, 3, 6]),
                    scaling: false,
                });
            }
        }
    }
    scheduling
}

/// Puts one to three replicas where nothing speaks against them; conditions that no node meets are dropped.
fn place(random: &mut Random, cluster: &mut Cluster, id: &WorkloadId, workload: Workload) {
    let wanted = random.count(1, 3);
    cluster.workloads.insert(id.clone(), workload);
    for number in 0..wanted {
        let snapshot = bare(cluster);
        let occupied = Occupied::of(&snapshot);
        let fits = |node: &&NodeId| {
            // Evenly, as a scheduler would.
            let mut tried = occupied.clone();
            tried.0.push((id.clone(), (*node).clone()));
            objections(&snapshot, &occupied, id, node).is_empty()
                && crate::bounds::evenly(&snapshot, &tried, id, node)
        };
        let mut possible: Vec<&NodeId> = snapshot.nodes.keys().filter(fits).collect();
        if possible.is_empty() && number > 0 {
            break;
        }
        if possible.is_empty() {
            if let Some(workload) = cluster.workloads.get_mut(id) {
                workload.scheduling = Scheduling::default();
                workload.requests = Requests::default();
            }
            possible = snapshot.nodes.keys().collect();
        }
        let node = random.one_of(&possible).clone();
        let replica = Cluster::new_replica(id, number);
        if let Some(workload) = cluster.workloads.get_mut(id) {
            workload.replicas.insert(replica, Replica::new(node, true));
        }
    }
}

/// Some workloads may not be with another, or must be with it, where that holds already.
fn bind(random: &mut Random, cluster: &mut Cluster) {
    let ids: Vec<WorkloadId> = cluster.workloads.keys().cloned().collect();
    for id in &ids {
        let other = ids[random.count(0, ids.len() - 1)].clone();
        if other == *id || !random.chance(0.25) {
            continue;
        }
        let over = random.one_of(&[TopologyKey::Node, TopologyKey::Zone]);
        let domain = |node: &NodeId| match over {
            TopologyKey::Node => Some(node.to_string()),
            TopologyKey::Zone => cluster.machines.get(node)?.node.zone.as_ref().map(ToString::to_string),
        };
        let domains = |id: &WorkloadId| -> BTreeSet<Option<String>> {
            cluster.workloads[id].replicas.values().map(|replica| domain(&replica.node)).collect()
        };
        let (own, others) = (domains(id), domains(&other));
        let together = own.is_subset(&others) && !own.contains(&None);
        let apart = own.is_disjoint(&others);
        let Some(workload) = cluster.workloads.get_mut(id) else { continue };
        if together {
            workload.scheduling.only_with.insert(other.to_string(), over);
        } else if apart {
            workload.scheduling.not_with.insert(other.to_string(), over);
        }
    }
}

/// The cluster as it is, without what is measured.
fn bare(cluster: &Cluster) -> Snapshot {
    let nodes: BTreeMap<_, _> =
        cluster.machines.iter().map(|(id, machine)| (id.clone(), machine.node.clone())).collect();
    Snapshot { nodes, workloads: cluster.workloads.clone(), ..Snapshot::empty(Timestamp::default()) }
}
