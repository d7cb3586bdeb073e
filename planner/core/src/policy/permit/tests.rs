use super::*;
use crate::{
    inputs::{Freeze, InFlight, OwnedInputs, Resources, Settings},
    learned::Learned,
    plan::{Cause, MoveReason},
    policy::{Limits, PastMove, PolicyDocument, validate},
    topology::{Snapshot, Workload},
    units::{Probability, Quantile},
};
use serde_json::json;
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;
const NOW: Timestamp = Timestamp::from_unix_ms(1_000 * DAY_MS);

/// Workloads `cart` and `pay` in namespace `shop`, `mail` in none; a move takes five minutes.
fn world() -> OwnedInputs {
    let workload = |name: &str, namespace: Option<&str>| {
        let namespace = namespace.map(str::to_owned);
        (WorkloadId::new(name), Workload { namespace, ..Workload::new(name.into()) })
    };
    let workloads = [workload("cart", Some("shop")), workload("pay", Some("shop")), workload("mail", None)];
    OwnedInputs {
        now: NOW,
        snapshot: Snapshot {
            nodes: BTreeMap::new(),
            workloads: BTreeMap::from(workloads),
            ..Snapshot::empty(NOW)
        },
        services: BTreeMap::new(),
        nodes: BTreeMap::new(),
        background: BTreeMap::new(),
        resources: Resources::default(),
        learned: Learned::default(),
        policies: vec![policy(Mode::Auto, Limits::default())],
        freezes: Vec::new(),
        past_moves: Vec::new(),
        in_flight: Vec::new(),
        move_duration_ms: BTreeMap::from([("cart".into(), 5 * MINUTE)]),
        settings: Settings::default(),
        newest: None,
    }
}

fn policy(mode: Mode, limits: Limits) -> RelocationPolicy {
    let document = json!({
        "apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "shop"},
        "spec": {
            "selector": {"services": ["cart", "pay"]},
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms"}}]
        }
    });
    let document: PolicyDocument = serde_json::from_value(document).unwrap();
    RelocationPolicy { mode, limits, ..validate(&document).unwrap() }
}

fn freeze(of: &str, from_min: i64, to_min: i64) -> Freeze {
    let (from, to) = (NOW.plus_ms(from_min * MINUTE), NOW.plus_ms(to_min * MINUTE));
    Freeze { policy: of.into(), window: "night".to_owned(), from, to }
}

fn past(workload: &str, hours_ago: i64) -> PastMove {
    let ended_at = NOW.plus_ms(-hours_ago * 60 * MINUTE);
    PastMove {
        workload: workload.into(),
        service: workload.into(),
        from: "a".into(),
        to: "b".into(),
        started_at: ended_at.plus_ms(-MINUTE),
        ended_at,
        failed: false,
        then: Vec::new(),
    }
}

fn flying(workload: &str, from: &str, to: &str) -> InFlight {
    InFlight {
        workload: workload.into(),
        service: workload.into(),
        replica: format!("{workload}-1").as_str().into(),
        from: from.into(),
        to: to.into(),
        traffic: crate::plan::Traffic::WHOLE,
        shift_to: None,
    }
}

fn chosen(workload: &str, from: &str, to: &str) -> Move {
    Move {
        workload: workload.into(),
        service: workload.into(),
        replica: format!("{workload}-1").as_str().into(),
        from: from.into(),
        to: to.into(),
        reason: MoveReason {
            policy: "shop".into(),
            rule: "slow".to_owned(),
            quantile: Quantile::new(0.99).unwrap(),
            objective_ms: 250.0,
            breach_at: NOW,
            breach_probability: Probability::default(),
            stay_ms: 0.0,
            move_ms: 0.0,
            model: String::new(),
            lead_ms: 0,
            on_behalf_of: None,
            cause: Cause::default(),
        },
        ramp_percent: vec![100],
        traffic: crate::plan::Traffic::WHOLE,
        shift_to: None,
        after: Vec::new(),
        then: Vec::new(),
    }
}

/// What is asked: may `cart` go from `a` to `b`?
type Case =
    (&'static str, fn(&mut OwnedInputs), &'static [(&'static str, &'static str, &'static str)], &'static str);

fn limits(world: &mut OwnedInputs, limits: Limits) {
    world.policies[0].limits = limits;
}

#[test]
#[allow(clippy::too_many_lines)] // One table.
fn each_guard_rail_holds_and_lets_go() {
    const FREE: &str = "";
    let cases: &[Case] = &[
        ("nothing stands in the way", |_| {}, &[], FREE),
        (
            "observe",
            |world| world.policies[0].mode = Mode::Observe,
            &[],
            "policy `shop` is in mode observe, but a move needs recommend, approve or auto; change its `mode`",
        ),
        ("approve plans", |world| world.policies[0].mode = Mode::Approve, &[], FREE),
        (
            "frozen now",
            |world| world.freezes.push(freeze("shop", -10, 20)),
            &[],
            "policy `shop` moves nothing in its freeze `night`, which has begun and ends in 20 min; wait, or shorten the window",
        ),
        (
            "frozen before the move is over",
            |world| world.freezes.push(freeze("shop", 4, 20)),
            &[],
            "policy `shop` moves nothing in its freeze `night`, which begins in 4 min, before the move would be over, and ends in 20 min; wait, or shorten the window",
        ),
        ("just in time before the freeze", |world| world.freezes.push(freeze("shop", 5, 20)), &[], FREE),
        ("just after the freeze", |world| world.freezes.push(freeze("shop", -20, 0)), &[], FREE),
        ("another policy is frozen", |world| world.freezes.push(freeze("other", -10, 20)), &[], FREE),
        (
            "it rests",
            |world| world.past_moves.push(PastMove { ended_at: NOW.plus_ms(-5 * MINUTE), ..past("cart", 0) }),
            &[],
            "workload `cart` rests 10 min longer; moves in 24 h: 1; wait, or shorten `cooldown` of policy `shop`",
        ),
        (
            "the budget of the day",
            |world| {
                limits(world, Limits { per_day: Some(3), ..Limits::default() });
                world.past_moves.extend([past("pay", 20), past("pay", 1)]);
            },
            &[("pay", "c", "d")],
            "policy `shop` allows 3 moves in 24 h, and 3 were made, run or are chosen; wait, or raise `limits.perDay`",
        ),
        (
            "moves of yesterday and of other policies do not count",
            |world| {
                limits(world, Limits { per_day: Some(2), ..Limits::default() });
                world.past_moves.extend([past("pay", 24), past("mail", 1), past("pay", 1)]);
            },
            &[],
            FREE,
        ),
        (
            "the source is busy as a target",
            |world| {
                limits(world, Limits { per_node: Some(1), ..Limits::default() });
                world.in_flight.push(flying("mail", "c", "a"));
            },
            &[],
            "node `a` has 1 moves that run or are chosen, of 1 that are allowed at a time; wait, or raise `limits.concurrent.perNode`",
        ),
        (
            "the target is busy with a chosen move",
            |world| limits(world, Limits { per_node: Some(1), ..Limits::default() }),
            &[("pay", "c", "b")],
            "node `b` has 1 moves that run or are chosen, of 1 that are allowed at a time; wait, or raise `limits.concurrent.perNode`",
        ),
        (
            "other nodes are busy",
            |world| limits(world, Limits { per_node: Some(1), ..Limits::default() }),
            &[("pay", "c", "d")],
            FREE,
        ),
        (
            "the namespace is busy",
            |world| limits(world, Limits { per_namespace: Some(1), ..Limits::default() }),
            &[("pay", "c", "d")],
            "namespace `shop` has 1 moves that run or are chosen, of 1 that are allowed at a time; wait, or raise `limits.concurrent.perNamespace`",
        ),
        (
            "another namespace, or none, is busy",
            |world| limits(world, Limits { per_namespace: Some(1), ..Limits::default() }),
            &[("mail", "c", "d")],
            FREE,
        ),
        (
            "the workload moves",
            |world| world.in_flight.push(flying("cart", "c", "d")),
            &[],
            "workload `cart` has 1 moves that run or are chosen, of 1 that are allowed at a time; wait until it is over",
        ),
        (
            "all",
            |world| {
                limits(world, Limits { all: Some(2), ..Limits::default() });
                world.in_flight.push(flying("mail", "c", "d"));
            },
            &[("pay", "e", "f")],
            "the mesh has 2 moves that run or are chosen, of 2 that are allowed at a time; wait, or raise `limits.concurrent.all`",
        ),
    ];
    for (name, change, before, want) in cases {
        let mut world = world();
        change(&mut world);
        let before: Vec<Move> =
            before.iter().map(|(workload, from, to)| chosen(workload, from, to)).collect();
        let inputs = world.borrow();
        let cart = (&"cart".into(), &"cart-1".into());
        let said = permits(&inputs, &world.policies[0], cart, &"a".into(), &"b".into(), &before);
        assert_eq!(said.err().map(|why| why.to_string()).unwrap_or_default(), *want, "case: {name}");
    }
}

#[test]
fn reasons_survive_being_written_and_read() {
    let why = NotPermitted::Concurrent { scope: Scope::Node("a".into()), limit: 1, moves: 1 };
    let written = serde_json::to_value(&why).unwrap();
    assert_eq!(written["kind"], "concurrent");
    assert_eq!(serde_json::from_value::<NotPermitted>(written).unwrap(), why);
}
