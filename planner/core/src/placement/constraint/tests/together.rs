//! Conditions between replicas, and moves that are judged together.
use super::{Layout, MINUTE, Mover, Row, cart, hold, index, node, runs, workload, world};
use crate::{
    ids::WorkloadId,
    inputs::InFlight,
    placement::layout::Step,
    topology::{Spread, TopologyKey},
};

fn spread(over: TopologyKey, max_skew: usize) -> Vec<Spread> {
    vec![Spread { over, max_skew }]
}

const APART: &[Row] = &[
    ("one more than on the source", |w| runs(w, "cart", &["a", "b"]), "a", "b", "another replica"),
    ("no more than on the source", |w| runs(w, "cart", &["a", "a", "b"]), "a", "b", ""),
    (
        "apart by node",
        |w| {
            runs(w, "cart", &["a", "a", "b"]);
            cart(w).scheduling.apart = [TopologyKey::Node].into();
        },
        "a",
        "b",
        "runs in node `b`, and no two",
    ),
    ("apart by node, none there", |w| cart(w).scheduling.apart = [TopologyKey::Node].into(), "a", "b", ""),
    (
        "apart by zone: the old one still runs there",
        |w| cart(w).scheduling.apart = [TopologyKey::Zone].into(),
        "a",
        "b",
        "runs in zone `north`",
    ),
    ("apart by zone", |w| cart(w).scheduling.apart = [TopologyKey::Zone].into(), "a", "c", ""),
    (
        "as many as may be on a node",
        |w| {
            runs(w, "cart", &["a", "a", "b"]);
            cart(w).scheduling.max_per_node = Some(1);
        },
        "a",
        "b",
        "1 replicas of the workload are there, at most 1",
    ),
    (
        "one less",
        |w| {
            runs(w, "cart", &["a", "a", "b"]);
            cart(w).scheduling.max_per_node = Some(2);
        },
        "a",
        "b",
        "",
    ),
];

#[test]
fn replicas_of_one_workload_are_kept_apart() {
    hold(APART);
}

const OTHERS: &[Row] = &[
    (
        "not with",
        |w| {
            runs(w, "batch", &["b"]);
            cart(w).scheduling.not_with = [("batch".to_owned(), TopologyKey::Node)].into();
        },
        "a",
        "b",
        "workload `batch` runs in node `b`",
    ),
    (
        "the other says so",
        |w| {
            runs(w, "batch", &["b"]);
            workload(w, "batch").scheduling.not_with = [("cart".to_owned(), TopologyKey::Node)].into();
        },
        "a",
        "b",
        "workload `batch` runs in node `b`",
    ),
    (
        "in the same zone",
        |w| {
            runs(w, "batch", &["a"]);
            cart(w).scheduling.not_with = [("batch".to_owned(), TopologyKey::Zone)].into();
        },
        "a",
        "b",
        "in zone `north`",
    ),
    (
        "in another zone",
        |w| {
            runs(w, "batch", &["a"]);
            cart(w).scheduling.not_with = [("batch".to_owned(), TopologyKey::Zone)].into();
        },
        "a",
        "c",
        "",
    ),
    (
        "not beside",
        |w| {
            runs(w, "cache", &["c"]);
            cart(w).scheduling.only_with = [("cache".to_owned(), TopologyKey::Node)].into();
        },
        "a",
        "b",
        "no replica of workload `cache` stays in node `b`",
    ),
    (
        "beside",
        |w| {
            runs(w, "cache", &["b"]);
            cart(w).scheduling.only_with = [("cache".to_owned(), TopologyKey::Node)].into();
        },
        "a",
        "b",
        "",
    ),
    (
        "beside one that leaves",
        |w| {
            runs(w, "cache", &["b"]);
            cart(w).scheduling.only_with = [("cache".to_owned(), TopologyKey::Node)].into();
            w.in_flight = vec![InFlight {
                workload: "cache".into(),
                service: "cache".into(),
                replica: "cache-0".into(),
                from: "b".into(),
                to: "c".into(),
                traffic: crate::plan::Traffic::WHOLE,
                shift_to: None,
            }];
        },
        "a",
        "b",
        "no replica of workload `cache` stays",
    ),
    (
        "beside nobody",
        |w| cart(w).scheduling.only_with = [("cache".to_owned(), TopologyKey::Zone)].into(),
        "a",
        "b",
        "`cache` stays in zone `north`",
    ),
    (
        "who must be with it would be left",
        |w| {
            runs(w, "cache", &["a"]);
            workload(w, "cache").scheduling.only_with = [("cart".to_owned(), TopologyKey::Node)].into();
        },
        "a",
        "b",
        "workload `cache` runs in node `a` and must be with a replica of it, of which none would stay there",
    ),
    (
        "one that must be with it in the zone is left with another replica",
        |w| {
            runs(w, "cart", &["a", "b"]);
            runs(w, "cache", &["a"]);
            workload(w, "cache").scheduling.only_with = [("cart".to_owned(), TopologyKey::Zone)].into();
        },
        "a",
        "c",
        "",
    ),
    (
        "the other replica leaves too",
        |w| {
            let south = node(w, "c").clone();
            w.snapshot.nodes.insert("d".into(), south);
            runs(w, "cart", &["a", "b"]);
            runs(w, "cache", &["a"]);
            workload(w, "cache").scheduling.only_with = [("cart".to_owned(), TopologyKey::Zone)].into();
            w.in_flight = vec![InFlight {
                workload: "cart".into(),
                service: "cart".into(),
                replica: "cart-1".into(),
                from: "b".into(),
                to: "d".into(),
                traffic: crate::plan::Traffic::WHOLE,
                shift_to: None,
            }];
        },
        "a",
        "c",
        "workload `cache` runs in zone `north`",
    ),
    (
        "it stays in the zone",
        |w| {
            runs(w, "cache", &["a"]);
            workload(w, "cache").scheduling.only_with = [("cart".to_owned(), TopologyKey::Zone)].into();
        },
        "a",
        "b",
        "",
    ),
    (
        "who must be with it runs elsewhere, alone already",
        |w| {
            runs(w, "cache", &["c"]);
            workload(w, "cache").scheduling.only_with = [("cart".to_owned(), TopologyKey::Node)].into();
        },
        "a",
        "b",
        "",
    ),
    (
        "who must be with it is on its way there",
        |w| {
            runs(w, "cache", &["c"]);
            workload(w, "cache").scheduling.only_with = [("cart".to_owned(), TopologyKey::Node)].into();
            w.in_flight = vec![InFlight {
                workload: "cache".into(),
                service: "cache".into(),
                replica: "cache-0".into(),
                from: "c".into(),
                to: "a".into(),
                traffic: crate::plan::Traffic::WHOLE,
                shift_to: None,
            }];
        },
        "a",
        "b",
        "workload `cache` runs in node `a`",
    ),
];

#[test]
fn workloads_keep_away_from_others_or_stay_with_them() {
    hold(OTHERS);
}

const SPREADS: &[Row] = &[
    (
        "evenly from one zone to the other",
        |w| {
            runs(w, "cart", &["a", "a", "c"]);
            cart(w).scheduling.spread = spread(TopologyKey::Zone, 1);
        },
        "a",
        "c",
        // Two to one now, two to two while both run, and one to two after.
        "",
    ),
    (
        "within a full zone: both count while both run",
        |w| {
            runs(w, "cart", &["a"]);
            cart(w).scheduling.spread = spread(TopologyKey::Zone, 1);
        },
        "a",
        "b",
        "differ by 2 between one zone and another, at most 1",
    ),
    (
        "within a zone that may hold one more",
        |w| cart(w).scheduling.spread = spread(TopologyKey::Zone, 2),
        "a",
        "b",
        "",
    ),
    (
        "to a zone that is short of one",
        |w| cart(w).scheduling.spread = spread(TopologyKey::Zone, 1),
        "a",
        "c",
        "",
    ),
    (
        "a zone that it may not be in does not count as empty",
        |w| {
            cart(w).allowed_nodes = ["a".into(), "b".into()].into();
            cart(w).scheduling.spread = spread(TopologyKey::Zone, 1);
        },
        "a",
        "b",
        "",
    ),
    (
        "over nodes",
        |w| {
            runs(w, "cart", &["a", "a", "b"]);
            cart(w).scheduling.spread = spread(TopologyKey::Node, 1);
        },
        "a",
        "b",
        "differ by 2 between one node and another",
    ),
    (
        "to a node without a zone",
        |w| {
            node(w, "b").zone = None;
            cart(w).scheduling.spread = spread(TopologyKey::Zone, 1);
        },
        "a",
        "b",
        "the zone of the node is not known, but the spread",
    ),
];

#[test]
fn replicas_stay_spread() {
    hold(SPREADS);
}

/// Two zones hold two and one, and the only one of the second zone would leave.
#[test]
fn the_source_counts_as_gone_when_the_move_is_over() {
    let mut world = world();
    for (name, like) in [("d", "c"), ("e", "a")] {
        let node = world.snapshot.nodes[&like.into()].clone();
        world.snapshot.nodes.insert(name.into(), node);
    }
    for (max_skew, refusal) in
        [(2, "the replicas would differ by 3 between one zone and another, at most 2 are allowed"), (3, "")]
    {
        runs(&mut world, "cart", &["a", "b", "c"]);
        cart(&mut world).scheduling.spread = spread(TopologyKey::Zone, max_skew);
        let inputs = world.borrow();
        let layout = Layout::new(&inputs);
        let cart = layout.workload_index(&WorkloadId::new("cart")).unwrap();
        let judged = Mover::new(&layout, cart).feasible(index(&layout, "c"), index(&layout, "e"), MINUTE);
        let said = judged.err().map(|why| why.to_string()).unwrap_or_default();
        assert_eq!(said, refusal, "{max_skew}");
    }
}

#[test]
fn of_ten_moves_to_one_free_place_one_fits() {
    let mut world = world();
    world.snapshot.workloads.clear();
    node(&mut world, "b").besides.requests.cpu_millicores = Some(880.0);
    for at in 0..10 {
        let name = format!("w{at}");
        runs(&mut world, &name, &["a"]);
        workload(&mut world, &name).requests.cpu_millicores = Some(100.0);
    }
    let inputs = world.borrow();
    let mut layout = Layout::new(&inputs);
    let (a, b) = (index(&layout, "a"), index(&layout, "b"));
    let mut fitting = Vec::new();
    for at in 0..10 {
        let workload = layout.workload_index(&WorkloadId::new(format!("w{at}"))).unwrap();
        if Mover::new(&layout, workload).feasible(a, b, MINUTE).is_ok() {
            let step = Step { workload, from: Some(a), to: b };
            layout.begin(step);
            fitting.push(step);
        }
    }
    assert_eq!(fitting.len(), 1, "there is room for one");
    // What it left is not free before it is over.
    let workload = fitting[0].workload;
    assert!(layout.count(workload, TopologyKey::Node, a).present() == 1);
    let full = layout.nodes[0].cpu;
    layout.take_back(fitting[0]);
    assert_eq!(layout.nodes[0].cpu.to_bits(), full.to_bits());
    assert!(Mover::new(&layout, workload).feasible(a, b, MINUTE).is_ok(), "taken back, there is room again");
}

#[test]
fn a_move_in_flight_holds_both_ends() {
    let mut world = world();
    for name in ["one", "two"] {
        runs(&mut world, name, &["a"]);
        workload(&mut world, name).requests.cpu_millicores = Some(600.0);
    }
    cart(&mut world).requests.cpu_millicores = Some(600.0);
    cart(&mut world).replicas.values_mut().for_each(|replica| replica.node = "c".into());
    let moving = |from: &str, to: &str| InFlight {
        workload: "one".into(),
        service: "one".into(),
        replica: "one-0".into(),
        from: from.into(),
        to: to.into(),
        traffic: crate::plan::Traffic::WHOLE,
        shift_to: None,
    };
    world.in_flight = vec![moving("a", "b")];
    let inputs = world.borrow();
    let layout = Layout::new(&inputs);
    let cart = layout.workload_index(&WorkloadId::new("cart")).unwrap();
    for target in ["a", "b"] {
        let judged = Mover::new(&layout, cart).feasible(index(&layout, "c"), index(&layout, target), MINUTE);
        assert!(judged.unwrap_err().to_string().contains("asks for 600 millicores"), "{target}");
    }
}
