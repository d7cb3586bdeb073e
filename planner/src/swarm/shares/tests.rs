use super::*;
use crate::swarm::answering::{Answering, answering};
use foremesh_core::ids::ServiceId;
use foremesh_swarm::mapping::Objects;
use serde_json::json;

/// Tasks as (slot, node, last number of the address), and a surge task as (slot, node, number).
fn now(tasks: &[(u64, &str, u8)], surge: Option<(u64, &str, u8)>) -> Answering {
    let nodes = ["a", "b", "c", "d"]
        .map(|node| json!({"ID": node, "Description": {"Hostname": node}, "Status": {"State": "ready"}}));
    let task = |service: &str, slot: u64, node: &str, number: u8| {
        json!({"ServiceID": service, "Slot": slot, "NodeID": node, "DesiredState": "running", "Status": {"State": "running"},
            "NetworksAttachments": [{"Network": {"ID": "n"}, "Addresses": [format!("10.0.0.{number}/24")]}]})
    };
    let mut all: Vec<_> = tasks.iter().map(|(slot, node, number)| task("w", *slot, node, *number)).collect();
    let mut services = vec![
        json!({"ID": "w", "Version": {"Index": 1}, "Spec": {"Name": "web", "Labels": {"foremesh.dev/port": "80"},
        "TaskTemplate": {"ContainerSpec": {}, "Networks": [{"Target": "n"}]}, "Mode": {"Replicated": {"Replicas": 9}}}}),
    ];
    if let Some((slot, node, number)) = surge {
        services.push(json!({"ID": "s", "Version": {"Index": 1}, "Spec": {"Name": "web-foremesh", "Labels": {
            "foremesh.dev/surge-of": "w", "foremesh.dev/surge-name": "web", "foremesh.dev/surge-slot": slot.to_string(),
            "foremesh.dev/surge-from": "a", "foremesh.dev/surge-to": node, "foremesh.dev/surge-template": "t"},
            "Mode": {"Replicated": {"Replicas": 1}}}}));
        all.push(task("s", 1, node, number));
    }
    let read = |value: serde_json::Value| value.to_string();
    let objects = Objects {
        nodes: serde_json::from_str(&read(json!(nodes))).unwrap(),
        services: serde_json::from_str(&read(json!(services))).unwrap(),
        tasks: serde_json::from_str(&read(json!(all))).unwrap(),
        networks: serde_json::from_str(r#"[{"Id": "n", "Name": "shop", "Driver": "overlay"}]"#).unwrap(),
    };
    answering(&objects).remove(&ServiceId::from("web")).unwrap()
}

/// Shares as `NUMBER REPLICA WEIGHT`.
fn told(shares: &Shares) -> Vec<String> {
    let each = |(at, of): (&SocketAddr, &Endpoint)| {
        let number = at.ip().to_string().rsplit('.').next().unwrap_or_default().to_owned();
        let replica = of.replica.as_ref().map_or("-", |replica| replica.as_str());
        format!("{number} {replica} {}", of.weight)
    };
    shares.iter().map(each).collect()
}

fn memory(of: &[(&str, u32)]) -> Memory {
    of.iter().map(|(id, weight)| (ReplicaId::from(*id), *weight)).collect()
}

fn weights(of: &[(&str, u32)]) -> BTreeMap<ReplicaId, u32> {
    memory(of)
}

const THREE: &[(u64, &str, u8)] = &[(1, "a", 1), (2, "b", 2), (3, "c", 3)];

fn begun(of: &[(&str, u32)]) -> (Shares, Memory) {
    given(&Shares::new(), &now(THREE, None), &weights(of)).unwrap()
}

#[test]
fn tasks_come_and_go_and_weights_stay() {
    let (shares, remembered) = followed(&Shares::new(), &Memory::new(), &now(THREE, None));
    assert_eq!(told(&shares), ["1 web.1@a 100", "2 web.2@b 100", "3 web.3@c 100"]);
    assert_eq!(remembered, Memory::new());
    let shifted = begun(&[("web.1@a", 50), ("web.2@b", 150)]);
    assert_eq!(shifted.1, memory(&[("web.3@c", 0)]));
    // Started again at another address; put on another node; scaled up; scaled down.
    for (tasks, expected, remembers) in [
        (
            &[(1, "a", 9), (2, "b", 2), (3, "c", 3)][..],
            &["2 web.2@b 150", "9 web.1@a 50"][..],
            &[("web.3@c", 0)][..],
        ),
        (&[(1, "d", 9), (2, "b", 2), (3, "c", 3)], &["2 web.2@b 150", "9 web.1@d 50"], &[("web.3@c", 0)]),
        (&[(1, "a", 1), (2, "b", 2), (3, "d", 9)], &["1 web.1@a 50", "2 web.2@b 150"], &[("web.3@d", 0)]),
        (
            &[(1, "a", 1), (2, "b", 2), (3, "c", 3), (4, "d", 4)],
            &["1 web.1@a 50", "2 web.2@b 150", "4 web.4@d 100"],
            &[("web.3@c", 0)],
        ),
        (&[(1, "a", 1), (2, "b", 2)], &["1 web.1@a 50", "2 web.2@b 150"], &[]),
        (&[(2, "b", 2), (3, "c", 3)], &["2 web.2@b 150"], &[("web.3@c", 0)]),
        (&[(3, "c", 3)], &["3 web.3@c 100"], &[]),
        (&[], &[], &[]),
    ] {
        let (shares, remembered) = followed(&shifted.0, &shifted.1, &now(tasks, None));
        assert_eq!(told(&shares), expected, "{tasks:?}");
        assert_eq!(remembered, memory(remembers), "{tasks:?}");
        let again = followed(&shares, &remembered, &now(tasks, None));
        assert_eq!(again, (shares, remembered), "{tasks:?}");
    }
}

#[test]
fn a_task_that_does_not_run_for_a_moment_has_its_weight_again() {
    let (shares, remembered) = begun(&[("web.1@a", 50), ("web.2@b", 150), ("web.3@c", 100)]);
    let mut down = now(&[(2, "b", 2), (3, "c", 3)], None);
    down.slots.insert(1);
    let (shares, remembered) = followed(&shares, &remembered, &down);
    assert_eq!(told(&shares), ["2 web.2@b 150", "3 web.3@c 100"]);
    assert_eq!(remembered, memory(&[("web.1@a", 50)]));
    let (shares, remembered) =
        followed(&shares, &remembered, &now(&[(1, "a", 8), (2, "b", 2), (3, "c", 3)], None));
    assert_eq!(told(&shares), ["2 web.2@b 150", "3 web.3@c 100", "8 web.1@a 50"]);
    assert_eq!(remembered, Memory::new());
}

#[test]
fn a_move_says_itself_who_gets_traffic() {
    let (shares, remembered) = begun(&[("web.1@a", 100), ("web.2@b", 100), ("web.3@c", 100)]);
    // The surge task is there: it gets nothing by itself.
    let moving = now(THREE, Some((1, "d", 4)));
    let (shares, remembered) = followed(&shares, &remembered, &moving);
    assert_eq!(told(&shares), ["1 web.1@a 100", "2 web.2@b 100", "3 web.3@c 100"]);
    assert_eq!(remembered, memory(&[("web.1@d", 0)]));
    let all = weights(&[("web.1@d", 100), ("web.2@b", 100), ("web.3@c", 100)]);
    let (shares, remembered) = given(&shares, &moving, &all).unwrap();
    assert_eq!(told(&shares), ["2 web.2@b 100", "3 web.3@c 100", "4 web.1@d 100"]);
    // The source, which has nothing, starts again at another address.
    let again = now(&[(1, "a", 9), (2, "b", 2), (3, "c", 3)], Some((1, "d", 4)));
    let (shares, remembered) = followed(&shares, &remembered, &again);
    assert_eq!(told(&shares), ["2 web.2@b 100", "3 web.3@c 100", "4 web.1@d 100"]);
    // It is handed over: the slot's own task gets nothing yet, then more and more.
    let own = now(&[(1, "d", 5), (2, "b", 2), (3, "c", 3)], Some((1, "d", 4)));
    let (mut shares, remembered) = followed(&shares, &remembered, &own);
    let id = ReplicaId::from("web.1@d");
    for (percent, expected) in [
        (0, "4 web.1@d 100"),
        (20, "4 web.1@d 80,5 web.1@d 20"),
        (60, "4 web.1@d 40,5 web.1@d 60"),
        (100, "5 web.1@d 100"),
    ] {
        if percent > 0 {
            shares = switched(&shares, &own, &id, percent).unwrap();
        }
        assert_eq!(told(&shares)[2..].join(","), expected);
        assert_eq!(percent_at_own(&shares, &own, &id), percent);
        assert_eq!(followed(&shares, &remembered, &own).0, shares, "a look in between changes nothing");
    }
    // The end: nobody stands in any more, and the old name is forgotten.
    let over = followed(&shares, &remembered, &now(&[(1, "d", 5), (2, "b", 2), (3, "c", 3)], None));
    assert_eq!((told(&over.0), over.1), (told(&shares), Memory::new()));
}

#[test]
fn a_stand_in_that_goes_leaves_its_traffic_to_the_own_task() {
    let own = now(&[(1, "d", 5), (2, "b", 2)], Some((1, "d", 4)));
    let id = ReplicaId::from("web.1@d");
    let (shares, _) = given(&Shares::new(), &own, &weights(&[("web.1@d", 100), ("web.2@b", 100)])).unwrap();
    let shares = switched(&shares, &own, &id, 20).unwrap();
    assert_eq!(told(&shares), ["2 web.2@b 100", "4 web.1@d 80", "5 web.1@d 20"]);
    let (shares, _) = followed(&shares, &Memory::new(), &now(&[(1, "d", 5), (2, "b", 2)], None));
    assert_eq!(told(&shares), ["2 web.2@b 100", "5 web.1@d 100"]);
    // Taken back: the old task has it all, and where there is none nothing is written.
    let moving = now(THREE, Some((1, "d", 4)));
    let (shares, remembered) =
        given(&Shares::new(), &moving, &weights(&[("web.1@d", 90), ("web.2@b", 100)])).unwrap();
    let (shares, remembered) = given_back(&shares, &remembered, &moving, 1).unwrap();
    assert_eq!(told(&shares), ["1 web.1@a 90", "2 web.2@b 100"]);
    assert_eq!(remembered, memory(&[("web.3@c", 0)]));
    let alone = now(&[], Some((1, "d", 4)));
    let (shares, remembered) = given(&Shares::new(), &alone, &weights(&[("web.1@d", 90)])).unwrap();
    assert_eq!(given_back(&shares, &remembered, &alone, 1), None);
}

#[test]
fn when_what_stands_in_goes_before_its_time_the_source_serves_again() {
    let (shares, remembered) =
        given(&Shares::new(), &now(&[(1, "a", 1)], Some((1, "d", 4))), &weights(&[("web.1@d", 100)]))
            .unwrap();
    assert_eq!(
        (told(&shares), remembered.clone()),
        (vec!["4 web.1@d 100".to_owned()], memory(&[("web.1@a", 0)]))
    );
    let mut gone = now(&[(1, "a", 1)], None);
    gone.moving = Some(1);
    let (shares, _) = followed(&shares, &remembered, &gone);
    assert_eq!(told(&shares), ["1 web.1@a 100"]);
}

#[test]
fn what_answers_nowhere_is_refused_and_what_is_written_by_hand_stays() {
    let gone = given(&Shares::new(), &now(THREE, None), &weights(&[("web.1@d", 100)]));
    assert_eq!(gone.unwrap_err(), ReplicaId::from("web.1@d"));
    let (shares, _) =
        given(&Shares::new(), &now(THREE, None), &weights(&[("10.9.9.9:80", 10), ("web.1@a", 100)])).unwrap();
    assert_eq!(told(&shares), ["1 web.1@a 100", "9 - 10"]);
    let (shares, _) = followed(&shares, &memory(&[("web.2@b", 0), ("web.3@c", 0)]), &now(THREE, None));
    assert_eq!(told(&shares), ["1 web.1@a 100", "9 - 10"]);
}
