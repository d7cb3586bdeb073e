//! Judges the targets of a large mesh and prints how many fit; its cost is measured from outside, because the core
//! reads no clock: `time cargo run --release -p foremesh-core --example feasibility_cost [WORKLOADS]`.
use foremesh_core::{
    ids::{NodeId, WorkloadId, Zone},
    inputs::OwnedInputs,
    placement::{
        constraint::{Mover, movable},
        layout::Layout,
    },
    time::Timestamp,
    topology::{Node, Replica, Requests, Snapshot, Spread, TopologyKey, Workload},
    units::Millicores,
};

const NODES: usize = 2_000;
const WORKLOADS: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = world()?;
    let inputs = world.borrow();
    let layout = Layout::new(&inputs);
    let most = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    let (mut fitting, mut judged) = (0, 0);
    for at in 0..WORKLOADS.min(most) {
        let name = WorkloadId::new(format!("w{at}"));
        let Some(workload) = layout.workload_index(&name) else { continue };
        if movable(&layout, workload).is_err() {
            continue;
        }
        let Some(from) = layout.node_index(&NodeId::new(format!("n{}", at % NODES))) else { continue };
        let mover = Mover::new(&layout, workload);
        judged += NODES;
        fitting += layout.node_indices().filter(|to| mover.feasible(from, *to, 1_800_000).is_ok()).count();
    }
    println!("{NODES} nodes, {WORKLOADS} workloads: {judged} targets judged, {fitting} fit");
    Ok(())
}

fn world() -> Result<OwnedInputs, Box<dyn std::error::Error>> {
    let now = Timestamp::from_unix_ms(1_767_571_200_000);
    let mut snapshot = Snapshot::empty(now);
    for at in 0..NODES {
        let zone = Some(Zone::new(format!("z{}", at % 3)));
        let node = Node { zone, ..Node::new(Millicores::new(8_000.0)?) };
        snapshot.nodes.insert(NodeId::new(format!("n{at}")), node);
    }
    for at in 0..WORKLOADS {
        let mut workload = Workload::new(format!("w{at}").as_str().into());
        for replica in 0..3 {
            let node = NodeId::new(format!("n{}", (at + replica) % NODES));
            let id = format!("w{at}-{replica}").as_str().into();
            workload.replicas.insert(id, Replica::new(node, true));
        }
        workload.requests = Requests { cpu_millicores: Some(200.0), memory_bytes: None };
        workload.scheduling.spread = vec![Spread { over: TopologyKey::Zone, max_skew: 1 }];
        workload.scheduling.not_with = [(format!("w{}", (at + 1) % WORKLOADS), TopologyKey::Node)].into();
        snapshot.workloads.insert(WorkloadId::new(format!("w{at}")), workload);
    }
    Ok(OwnedInputs::new(snapshot))
}
