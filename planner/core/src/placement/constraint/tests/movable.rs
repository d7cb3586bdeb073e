//! Reasons why a workload cannot be moved at all.
use super::{Layout, cart, runs, workload, world};
use crate::{
    ids::WorkloadId,
    inputs::OwnedInputs,
    placement::{constraint::movable, layout::Step},
    topology::{Autoscaler, BudgetHealth, DisruptionBudget, Quota, Requests, Volume},
};

fn autoscaler(max_replicas: u32, scaling: bool) -> Autoscaler {
    Autoscaler { name: "cart-hpa".to_owned(), max_replicas, scaling }
}

fn cpu(millicores: f64) -> Requests {
    Requests { cpu_millicores: Some(millicores), memory_bytes: None }
}

fn unready(world: &mut OwnedInputs) {
    cart(world).replicas.values_mut().for_each(|replica| replica.ready = false);
}

fn budget(allowed_now: u32, health: Option<(u32, u32)>) -> Vec<DisruptionBudget> {
    let health = health.map(|(healthy, wanted)| BudgetHealth { healthy, wanted });
    vec![DisruptionBudget { name: "cart-pdb".to_owned(), allowed_now, health }]
}

fn quota(free: Requests, free_replicas: Option<u32>) -> Vec<Quota> {
    vec![Quota { name: "shop".to_owned(), free, free_replicas }]
}

fn volume(exclusive: bool) -> Vec<Volume> {
    vec![Volume { name: "data".to_owned(), zones: [].into(), nodes: [].into(), exclusive }]
}

/// What is changed, and a part of the reason; empty when it can be moved.
type Row = (&'static str, fn(&mut OwnedInputs), &'static str);

const ROWS: &[Row] = &[
    ("nothing", |_| {}, ""),
    ("pinned", |w| cart(w).pinned = Some("not by us".to_owned()), "it is pinned: not by us"),
    ("no replicas", |w| runs(w, "cart", &[]), "no replicas"),
    ("not ready", unready, "replica `cart-0` is not ready"),
    (
        "new version",
        |w| cart(w).scheduling.changing = Some("version 3".to_owned()),
        "being changed: version 3",
    ),
    ("scaling", |w| cart(w).scheduling.autoscaler = Some(autoscaler(5, true)), "`cart-hpa` is changing"),
    (
        "at the limit",
        |w| cart(w).scheduling.autoscaler = Some(autoscaler(1, false)),
        "it has 1 replicas, and autoscaler `cart-hpa` allows at most 1",
    ),
    ("below the limit", |w| cart(w).scheduling.autoscaler = Some(autoscaler(2, false)), ""),
    ("exclusive", |w| cart(w).scheduling.volumes = volume(true), "volume `data` can be held by one node"),
    ("shared", |w| cart(w).scheduling.volumes = volume(false), ""),
    (
        "no surge",
        |w| cart(w).scheduling.no_surge = Some("stateful set".to_owned()),
        "beside a replica: stateful set",
    ),
    (
        "broken budget",
        |w| cart(w).scheduling.budgets = budget(0, Some((1, 2))),
        "`cart-pdb` wants 2 replicas that are well, and there are 1",
    ),
    ("budget at rest", |w| cart(w).scheduling.budgets = budget(0, Some((2, 2))), ""),
    ("budget of unknown health", |w| cart(w).scheduling.budgets = budget(0, None), ""),
    (
        "quota of CPU",
        |w| {
            cart(w).requests.cpu_millicores = Some(200.0);
            cart(w).scheduling.quotas = quota(cpu(199.0), None);
        },
        "needs 200 millicores, but quota `shop` leaves 199",
    ),
    (
        "quota of CPU that is enough",
        |w| {
            cart(w).requests.cpu_millicores = Some(200.0);
            cart(w).scheduling.quotas = quota(cpu(200.0), None);
        },
        "",
    ),
    (
        "quota of memory",
        |w| {
            cart(w).requests.memory_bytes = Some(2.0);
            cart(w).scheduling.quotas =
                quota(Requests { cpu_millicores: None, memory_bytes: Some(1.0) }, None);
        },
        "needs 2 bytes of memory, but quota `shop` leaves 1",
    ),
    (
        "quota of replicas",
        |w| cart(w).scheduling.quotas = quota(Requests::default(), Some(0)),
        "needs 1 replicas",
    ),
    ("quota with one left", |w| cart(w).scheduling.quotas = quota(Requests::default(), Some(1)), ""),
    ("quota of what it does not ask for", |w| cart(w).scheduling.quotas = quota(cpu(0.0), None), ""),
];

#[test]
fn every_reason_holds_a_workload_and_just_does_not() {
    for (what, change, reason) in ROWS {
        let mut world = world();
        change(&mut world);
        let inputs = world.borrow();
        let layout = Layout::new(&inputs);
        let cart = layout.workload_index(&WorkloadId::new("cart")).unwrap();
        let said = movable(&layout, cart).err().map(|why| why.to_string()).unwrap_or_default();
        let right = if reason.is_empty() { said.is_empty() } else { said.contains(reason) };
        assert!(right, "{what}: expected `{reason}`, got `{said}`");
    }
}

#[test]
fn moves_of_one_namespace_share_its_quota() {
    let mut world = world();
    runs(&mut world, "shop", &["a"]);
    runs(&mut world, "apart", &["a"]);
    for name in ["cart", "shop", "apart"] {
        workload(&mut world, name).namespace = Some(if name == "apart" { "b" } else { "a" }.to_owned());
        workload(&mut world, name).scheduling.quotas = quota(Requests::default(), Some(1));
    }
    let inputs = world.borrow();
    let mut layout = Layout::new(&inputs);
    let number = |layout: &Layout<'_>, name: &str| layout.workload_index(&WorkloadId::new(name)).unwrap();
    let to = super::index(&layout, "b");
    let step = Step { workload: number(&layout, "cart"), from: None, to };
    layout.begin(step);
    assert!(movable(&layout, number(&layout, "shop")).is_err(), "the one that is left was taken");
    assert!(movable(&layout, number(&layout, "apart")).is_ok(), "another namespace has its own");
    layout.take_back(step);
    assert!(movable(&layout, number(&layout, "shop")).is_ok());
}
