//! Every condition fires, and just does not fire. Three nodes in two zones; workload `cart` has one replica on `a`.
mod movable;
mod nodes;
mod together;

use super::{Layout, Mover, NodeIndex};
use crate::{
    forecast::{ForecastSettings, forecast},
    gauge::GaugeMetric,
    ids::{NodeId, WorkloadId, Zone},
    inputs::{MaybeForecast, OwnedInputs},
    plan::RejectionReason,
    series::Series,
    time::{Step, Timestamp},
    topology::{Node, Replica, Snapshot, Workload},
    units::Millicores,
};
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);
const MINUTE: i64 = 60_000;

/// `a` and `b` are in zone `north`, `c` is in zone `south`.
fn world() -> OwnedInputs {
    let snapshot = Snapshot::empty(NOW);
    let mut world = OwnedInputs::new(snapshot);
    for (name, zone) in [("a", "north"), ("b", "north"), ("c", "south")] {
        let capacity = Millicores::new(1000.0).unwrap();
        let node = Node { zone: Some(Zone::new(zone)), ..Node::new(capacity) };
        world.snapshot.nodes.insert(name.into(), node);
    }
    runs(&mut world, "cart", &["a"]);
    world
}

/// Adds a workload with one replica on each of the nodes, or puts it there.
fn runs(world: &mut OwnedInputs, name: &str, nodes: &[&str]) {
    let known = world.snapshot.workloads.entry(name.into());
    let workload = known.or_insert_with(|| Workload::new(name.into()));
    let replica = |(at, node): (usize, &&str)| {
        (format!("{name}-{at}").as_str().into(), Replica::new(NodeId::new(*node), true))
    };
    workload.replicas = nodes.iter().enumerate().map(replica).collect();
}

fn cart(world: &mut OwnedInputs) -> &mut Workload {
    world.snapshot.workloads.get_mut(&WorkloadId::new("cart")).unwrap()
}

fn workload<'w>(world: &'w mut OwnedInputs, name: &str) -> &'w mut Workload {
    world.snapshot.workloads.get_mut(&WorkloadId::new(name)).unwrap()
}

fn node<'w>(world: &'w mut OwnedInputs, name: &str) -> &'w mut Node {
    world.snapshot.nodes.get_mut(&NodeId::new(name)).unwrap()
}

fn index(layout: &Layout<'_>, name: &str) -> NodeIndex {
    layout.node_index(&NodeId::new(name)).unwrap()
}

/// Whether `cart` can go from one node to another in a world with one thing changed.
fn judge(change: fn(&mut OwnedInputs), from: &str, to: &str) -> Result<(), RejectionReason> {
    let mut world = world();
    change(&mut world);
    let inputs = world.borrow();
    let layout = Layout::new(&inputs);
    let cart = layout.workload_index(&WorkloadId::new("cart")).unwrap();
    Mover::new(&layout, cart).feasible(index(&layout, from), index(&layout, to), 30 * MINUTE)
}

/// A row: what is changed, from where to where, and a part of the refusal; empty when it is allowed.
type Row = (&'static str, fn(&mut OwnedInputs), &'static str, &'static str, &'static str);

fn hold(rows: &[Row]) {
    for (what, change, from, to, refusal) in rows {
        let said = judge(*change, from, to).err().map(|why| why.to_string()).unwrap_or_default();
        let right = if refusal.is_empty() { said.is_empty() } else { said.contains(refusal) };
        assert!(right, "{what}: expected `{refusal}`, got `{said}`");
    }
}

/// A quantity that has been at a level for two hours.
fn level(bytes: f64) -> BTreeMap<GaugeMetric, MaybeForecast> {
    let start = NOW.plus_ms(-120 * MINUTE);
    let series = Series::new(start, Step::MINUTE, vec![bytes; 120]);
    let settings = ForecastSettings::new(45, None, 5 * MINUTE);
    let made = forecast("x", GaugeMetric::MemoryUsedBytes.name(), &series, &[], &settings, NOW);
    BTreeMap::from([(GaugeMetric::MemoryUsedBytes, made)])
}
