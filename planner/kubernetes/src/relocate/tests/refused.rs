//! What is refused before anything is changed.
use super::{
    super::{
        check::check,
        decide::{At, Step, place, settled},
        error::Why,
        seen::{Scaler, Seen},
    },
    n,
    world::{World, id},
};
use foremesh_core::{
    ids::{ReplicaId, ServiceId},
    placement::constraint::Immovable,
    plan::RejectionReason,
    time::Timestamp,
    topology::{BudgetHealth, DisruptionBudget, Node, NodeState, Replica, Snapshot, Volume, Workload},
    units::Millicores,
};

type Change = fn(&mut Seen);

#[test]
fn what_is_under_way_is_not_moved() {
    let scaler = |change: fn(&mut Scaler)| {
        let mut scaler = Scaler { name: "web".to_owned(), min: 1, max: 5, ..Scaler::default() };
        change(&mut scaler);
        scaler
    };
    let with = |seen: &mut Seen, scalers: &[Scaler]| seen.scalers = scalers.to_vec();
    let cases: [(Change, Why, &str); 9] = [
        (|seen| seen.deployment = None, Why::NotFound, "there is no such Deployment"),
        (
            |seen| seen.deployment.as_mut().unwrap().changing = Some("its rollout is paused".to_owned()),
            Why::RollingOut,
            "workload `shop/web`: its rollout is paused; let its rollout end, or resume it",
        ),
        (|seen| seen.pods[0].current = false, Why::RollingOut, "pods of an older version are still there"),
        (|seen| seen.pods.truncate(1), Why::Scaling, "it has 1 replicas and is to have 2"),
        (
            |seen| seen.deployment.as_mut().unwrap().wanted = 0,
            Why::Scaling,
            "it has 2 replicas and is to have 0",
        ),
        (
            |seen| {
                seen.pods[1].ready = false;
                seen.pods[1].trouble = Some("it is not ready: so".to_owned());
            },
            Why::NotReady,
            "replica `p2` is not ready: it is not ready: so",
        ),
        (|seen| seen.pods[1].terminating = true, Why::Scaling, "it has 1 replicas and is to have 2"),
        (
            |seen| seen.deployment.as_mut().unwrap().terminating = true,
            Why::NotFound,
            "or it is being deleted",
        ),
        (|_| {}, Why::Cluster, ""),
    ];
    for (change, why, text) in cases {
        let mut seen = World::with(2).seen();
        change(&mut seen);
        let at = At { workload: &id(), entry: None, seen: &seen, late: false, raised: false };
        match place(&at, &n("n2")) {
            Step::Fail(error) => {
                assert_eq!(error.why, why, "{error}");
                assert!(error.to_string().contains(text), "{error}");
            }
            Step::Store(_) => assert!(text.is_empty(), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    for (scalers, why, text) in [
        (vec![scaler(|_| {})], None, ""),
        (vec![scaler(|of| of.desired = Some(2))], None, ""),
        (vec![scaler(|_| {}), scaler(|_| {})], Some(Why::ScaledByOthers), "both set its number of replicas"),
        (vec![scaler(|of| of.max = 2)], Some(Why::Scaling), "allows at most 2; raise its maxReplicas"),
        (vec![scaler(|of| of.desired = Some(3))], Some(Why::Scaling), "is changing its number of replicas"),
        (
            vec![scaler(|of| of.owner = Some("ScaledObject web".to_owned()))],
            Some(Why::ScaledByOthers),
            "belongs to ScaledObject web",
        ),
    ] {
        let mut seen = World::with(2).seen();
        with(&mut seen, &scalers);
        let at = At { workload: &id(), entry: None, seen: &seen, late: false, raised: false };
        let refused = settled(&at).err();
        assert_eq!(refused.as_ref().map(|error| error.why.clone()), why, "{scalers:?}");
        assert!(refused.is_none_or(|error| error.to_string().contains(text)), "{scalers:?}");
    }
}

/// n1 with the only replica of `shop/web`, and n2.
fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::empty(Timestamp::from_unix_ms(0));
    for name in ["n1", "n2"] {
        let mut node = Node::new(Millicores::new(1000.0).unwrap());
        node.labels = [("kubernetes.io/hostname".to_owned(), name.to_owned())].into();
        snapshot.nodes.insert(n(name), node);
    }
    let mut web = Workload::new(ServiceId::new("web"));
    web.replicas = [(ReplicaId::new("p1"), Replica::new(n("n1"), true))].into();
    snapshot.workloads.insert(id(), web);
    snapshot
}

#[test]
fn what_the_snapshot_knows_is_refused_by_its_kind_with_a_remedy() {
    type Change = fn(&mut Workload, &mut Node);
    let health = |healthy| Some(BudgetHealth { healthy, wanted: 1 });
    let budget = |web: &mut Workload, health| {
        web.scheduling.budgets = vec![DisruptionBudget { name: "web".to_owned(), allowed_now: 0, health }];
    };
    let immovable = |reason| Some(Why::Immovable(Box::new(reason)));
    let rejected = |reason| Some(Why::Rejected(Box::new(reason)));
    let cases: [(Change, Option<Why>, &str); 7] = [
        (|_, _| {}, None, ""),
        (
            |_, node| node.state = NodeState::Cordoned,
            rejected(RejectionReason::Cordoned),
            "uncordon the node",
        ),
        (
            |_, node| node.state = NodeState::Unreachable("so".to_owned()),
            rejected(RejectionReason::Unreachable { detail: "so".to_owned() }),
            "workload `shop/web` to node `n2`: the node cannot be reached: so; see why the node is not ready",
        ),
        (
            |web, node| {
                web.scheduling.host_ports = [80].into();
                node.besides.host_ports = [80].into();
            },
            rejected(RejectionReason::PortTaken {
                port: 80,
                by: "something beside the workloads".to_owned(),
            }),
            "free the port",
        ),
        (
            |web, _| {
                let (name, zones, nodes) = ("data".to_owned(), [].into(), [].into());
                web.scheduling.volumes = vec![Volume { name, zones, nodes, exclusive: true }];
            },
            immovable(Immovable::ExclusiveVolume { volume: "data".to_owned() }),
            "volume `data` can be held by one node at a time; keep it where it is",
        ),
        (
            |web, _| web.scheduling.no_surge = Some("stateful set".to_owned()),
            immovable(Immovable::NoSurge { reason: "stateful set".to_owned() }),
            "keep it where it is",
        ),
        (
            |web, _| web.pinned = Some("by its owner".to_owned()),
            immovable(Immovable::Pinned { reason: "by its owner".to_owned() }),
            "ask who pinned it",
        ),
    ];
    for (change, why, text) in cases {
        let mut snapshot = snapshot();
        let mut node = snapshot.nodes.remove(&n("n2")).unwrap();
        change(snapshot.workloads.get_mut(&id()).unwrap(), &mut node);
        snapshot.nodes.insert(n("n2"), node);
        let refused = check(&snapshot, &id(), &n("n2")).err();
        assert_eq!(refused.as_ref().map(|error| error.why.clone()), why, "{text}");
        assert!(refused.is_none_or(|error| error.to_string().contains(text)), "{text}");
    }
    for (healthy, moves) in [(1, true), (0, false)] {
        let mut snapshot = snapshot();
        budget(snapshot.workloads.get_mut(&id()).unwrap(), health(healthy));
        assert_eq!(
            check(&snapshot, &id(), &n("n2")).is_ok(),
            moves,
            "{healthy} are well, no disruption is allowed"
        );
    }
    assert_eq!(check(&snapshot(), &id(), &n("n9")).unwrap_err().why, Why::NoNode);
    assert_eq!(check(&snapshot(), &"shop/pay".into(), &n("n2")).unwrap_err().why, Why::NotFound);
}
