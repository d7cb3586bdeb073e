//! Decisions, in a world that is played; a planner that dies between any two writes; others who scale meanwhile.
mod read;
mod refused;
mod scaled;
mod world;

use super::{
    decide::{self, At, Step, Way},
    error::{RelocateError, Why},
    seen::Scaler,
};
use foremesh_core::ids::{NodeId, ReplicaId};
use world::{Ended, World};

fn n(name: &str) -> NodeId {
    NodeId::new(name)
}

/// A call is repeated when its planner was killed; time may have passed meanwhile.
fn call(
    world: &mut World,
    idle: u32,
    next: &dyn Fn(&At<'_>) -> Step,
) -> Result<Option<ReplicaId>, RelocateError> {
    loop {
        match world.call(next) {
            Ended::Done(replica) => return Ok(replica),
            Ended::Failed(error) => return Err(error),
            Ended::Killed => (0..idle).for_each(|_| world.tick()),
            Ended::TakeBack(reason) => {
                leave(world, idle, &|_, _| Ok(Way::Back))?;
                return Err(reason);
            }
        }
    }
}

type Which<'w> = &'w dyn Fn(&At<'_>, &crate::moving::Moved) -> Result<Way, RelocateError>;

fn leave(world: &mut World, idle: u32, which: Which<'_>) -> Result<(), RelocateError> {
    call(world, idle, &|at| {
        let Some(entry) = at.entry else { return Step::Done(None) };
        match which(at, entry) {
            Ok(way) => decide::leave(at, entry, &way),
            Err(refused) => Step::Fail(refused),
        }
    })
    .map(drop)
}

fn place(world: &mut World, idle: u32) -> Result<ReplicaId, RelocateError> {
    call(world, idle, &|at| decide::place(at, &n("n2"))).map(Option::unwrap)
}

fn retire(world: &mut World, idle: u32, node: &str, replica: Option<&str>) -> Result<(), RelocateError> {
    let replica = replica.map(ReplicaId::new);
    leave(world, idle, &|at, entry| decide::way(at, entry, &n(node), replica.as_ref()))
}

fn release(world: &mut World, idle: u32) -> Result<(), RelocateError> {
    call(world, idle, &|at| if at.entry.is_some() { decide::release(at) } else { Step::Done(None) }).map(drop)
}

fn forsake(world: &mut World) -> Result<(), RelocateError> {
    leave(world, 0, &|at, entry| Ok(decide::forsaken(at, entry)))?;
    release(world, 0)
}

fn settle(world: &mut World) {
    for _ in 0..30 {
        world.tick();
    }
}

/// From n1 to n2, or back from there.
fn whole(world: &mut World, idle: u32, on: bool) -> Result<(), RelocateError> {
    let target = place(world, idle)?;
    assert!(world.live().contains(&target.as_str()));
    settle(world);
    if on {
        retire(world, idle, "n1", Some("p1"))?;
    } else {
        retire(world, idle, "n2", Some(target.as_str()))?;
    }
    release(world, idle)
}

/// No pod, label, cost or entry of a move is left.
fn nothing_left(world: &World, replicas: u32, what: &str) {
    assert_eq!(world.entry, None, "{what}");
    assert_eq!(world.deployment.wanted, replicas, "{what}: {world:?}");
    assert_eq!(world.live().len(), replicas as usize, "{what}: {world:?}");
    let marked =
        world.pods.iter().find(|pod| !pod.terminating && (pod.cost.is_some() || pod.location.is_some()));
    assert_eq!(marked, None, "{what}");
}

/// Each way, with one replica and with several, killed before each write, and before each pair of writes.
#[test]
fn a_planner_that_dies_between_any_two_writes_goes_on() {
    let mut runs = 0;
    for (replicas, on, eager, webhook) in [1, 3].into_iter().flat_map(|replicas| {
        [true, false].into_iter().flat_map(move |on| {
            [(true, true), (false, true), (true, false), (false, false)]
                .map(|(eager, webhook)| (replicas, on, eager, webhook))
        })
    }) {
        let start = World { webhook, eager, ..World::with(replicas) };
        let mut plain = start.clone();
        whole(&mut plain, 0, on).unwrap();
        let writes = plain.writes;
        assert!(writes >= 6, "{writes} writes");
        for first in 0..writes {
            for second in first..=writes {
                for idle in [0, 1, 20] {
                    let mut world = World { crashes: vec![first, second], ..start.clone() };
                    let what = format!(
                        "{replicas} replicas, on {on}, eager {eager}, webhook {webhook}, {first}, {second}, {idle}"
                    );
                    whole(&mut world, idle, on).unwrap_or_else(|error| panic!("{what}: {error}"));
                    settle(&mut world);
                    nothing_left(&world, replicas, &what);
                    assert_eq!(world.on("n2"), usize::from(on), "{what}");
                    assert_eq!(world.live().contains(&"p1"), !on, "{what}");
                    assert!(
                        world.least_ready >= replicas as usize,
                        "{what}: {} were ready",
                        world.least_ready
                    );
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 1000, "{runs} runs");
}

/// The planner dies for good: whoever finds the entry makes an end of it.
#[test]
fn a_move_of_which_nobody_knows_is_taken_back_or_ended() {
    for (replicas, on, eager) in
        [(1, true, true), (1, true, false), (3, true, true), (1, false, true), (3, false, false)]
    {
        let start = World { eager, ..World::with(replicas) };
        let mut plain = start.clone();
        whole(&mut plain, 0, on).unwrap();
        for death in 0..plain.writes {
            for idle in [0, 1, 20] {
                let mut world = World { crashes: vec![death], ..start.clone() };
                let what =
                    format!("{replicas} replicas, on {on}, eager {eager}, dead before {death}, {idle}");
                until_dead(&mut world, on);
                (0..idle).for_each(|_| world.tick());
                forsake(&mut world).unwrap_or_else(|error| panic!("{what}: {error}"));
                settle(&mut world);
                nothing_left(&world, replicas, &what);
                assert!(world.least_ready >= replicas as usize, "{what}: {} were ready", world.least_ready);
            }
        }
    }
}

fn until_dead(world: &mut World, on: bool) {
    let dead = |ended: Ended| matches!(ended, Ended::Killed);
    if dead(world.call(&|at| decide::place(at, &n("n2")))) {
        return;
    }
    settle(world);
    let target = world.entry.as_ref().unwrap().target.clone().unwrap();
    let (node, replica) = if on { (n("n1"), ReplicaId::new("p1")) } else { (n("n2"), target) };
    let left = world.call(&|at| {
        let way = decide::way(at, at.entry.unwrap(), &node, Some(&replica)).unwrap();
        decide::leave(at, at.entry.unwrap(), &way)
    });
    if !dead(left) {
        assert!(dead(world.call(&|at| if at.entry.is_some() {
            decide::release(at)
        } else {
            Step::Done(None)
        })));
    }
}

#[test]
fn what_does_not_start_is_taken_back_and_says_why() {
    type Change = fn(&mut World);
    let cases: [(&str, Change, Why, &str); 5] = [
        ("other node", |world| world.node = Some("n3"), Why::WrongNode, "came to node n3 and not to n2"),
        (
            "other node, autoscaled",
            |world| {
                world.node = Some("n3");
                *world = world.clone().scaled_by(1, 5, None);
            },
            Why::WrongNode,
            "came to node n3 and not to n2",
        ),
        ("no room", |world| world.node = None, Why::DidNotStart, "it does not say why it does not start"),
        ("broken", |world| world.broken = true, Why::DidNotStart, "does not run on n2 in time: pod `p3`"),
        (
            "quota",
            |world| {
                let scaler = Scaler { name: "web".to_owned(), min: 2, max: 2, ..Scaler::default() };
                world.scaler = Some(scaler);
            },
            Why::Scaling,
            "allows at most 2",
        ),
    ];
    for (what, change, why, text) in cases {
        for eager in [true, false] {
            let mut world = World { eager, ..World::with(2) };
            change(&mut world);
            let error = place(&mut world, 0).unwrap_err();
            assert_eq!(error.why, why, "{what}: {error}");
            assert!(error.to_string().contains(text), "{what}: {error}");
            // The planner tries again, then gives up.
            assert_eq!(place(&mut world, 0).unwrap_err().why, why, "{what}, again");
            retire(&mut world, 0, "n2", None).unwrap();
            release(&mut world, 0).unwrap();
            settle(&mut world);
            nothing_left(&world, 2, what);
            assert_eq!(world.live(), ["p1", "p2"], "{what}");
            assert_eq!(world.least_ready, 2, "{what}");
        }
    }
}

/// The node that the planner left holds no part of the move: what it asks for is told apart from what it is not.
#[test]
fn what_is_not_of_the_move_is_left_alone() {
    let mut world = World::with(2);
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    let stranger = retire(&mut world, 0, "n3", Some(target.as_str())).unwrap_err();
    assert_eq!(stranger.why, Why::OtherMove, "{stranger}");
    assert!(retire(&mut world, 0, "n3", None).is_err());
    // The old replica is asked for again while the new one is there.
    let found = call(&mut world, 0, &|at| decide::place(at, &n("n1"))).unwrap().unwrap();
    assert_eq!(found.as_str(), "p1");
    assert_eq!(call(&mut world, 0, &|at| decide::place(at, &n("n3"))).unwrap_err().why, Why::OtherMove);
    assert_eq!(world.live(), ["p1", "p2", target.as_str()]);
    retire(&mut world, 0, "n1", Some("p2")).unwrap();
    release(&mut world, 0).unwrap();
    settle(&mut world);
    nothing_left(&world, 2, "the second replica moved");
    assert_eq!(world.live(), ["p1", target.as_str()]);
    // What is over may be asked for again.
    retire(&mut world, 0, "n1", Some("p2")).unwrap();
}

/// Nobody released the last move: the next one does.
#[test]
fn a_move_that_is_over_does_not_stand_in_the_way_of_the_next() {
    let mut world = World::with(1);
    let first = place(&mut world, 0).unwrap();
    settle(&mut world);
    retire(&mut world, 0, "n1", Some("p1")).unwrap();
    assert_eq!(place(&mut world, 0).unwrap(), first, "a call that is repeated starts no other one");
    world.node = Some("n1");
    let second = call(&mut world, 0, &|at| decide::place(at, &n("n1"))).unwrap().unwrap();
    settle(&mut world);
    retire(&mut world, 0, "n2", Some(first.as_str())).unwrap();
    release(&mut world, 0).unwrap();
    nothing_left(&world, 1, "back again");
    assert_eq!(world.live(), [second.as_str()]);
}

/// The controller goes by more than the cost: while another one is not ready it would take that one.
#[test]
fn nothing_is_lowered_while_another_one_would_go() {
    let mut world = World::with(3);
    place(&mut world, 0).unwrap();
    settle(&mut world);
    world.pods.iter_mut().for_each(|pod| {
        let sick = pod.name == "p2";
        pod.ready &= !sick;
        pod.started &= !sick;
        pod.phase = if sick { super::seen::Phase::Unknown } else { pod.phase };
        pod.node = if sick { String::new() } else { pod.node.clone() };
    });
    world.node = None;
    let error = retire(&mut world, 0, "n1", Some("p1")).unwrap_err();
    assert_eq!(error.why, Why::NotReady, "{error}");
    assert_eq!(world.live().len(), 4);
    world.node = Some("n1");
    settle(&mut world);
    retire(&mut world, 0, "n1", Some("p1")).unwrap();
    release(&mut world, 0).unwrap();
    nothing_left(&world, 3, "it got well");
}

/// The new replica is not ready: the old one stays, whatever was promised before.
#[test]
fn nothing_goes_while_the_new_one_is_not_ready() {
    for promoted in [false, true] {
        let mut world = World::with(1);
        let target = place(&mut world, 0).unwrap();
        settle(&mut world);
        if promoted {
            // Killed before it lowers the number: phase, target, source.
            world.crashes = vec![world.writes + 3];
            let way = Way::On(ReplicaId::new("p1"), n("n1"));
            assert!(matches!(world.call(&|at| decide::leave(at, at.entry.unwrap(), &way)), Ended::Killed));
        }
        world.broken = true;
        for pod in world.pods.iter_mut().filter(|pod| promoted || pod.name == target.as_str()) {
            pod.created.push('!');
            (pod.started, pod.ready) = (false, false);
        }
        let error = retire(&mut world, 0, "n1", Some("p1")).unwrap_err();
        assert_eq!(error.why, Why::NothingToStay, "{error}");
        assert_eq!(world.live(), ["p1", target.as_str()]);
    }
}

/// The old replica was lost, and made up for, between the planner's death and its return.
#[test]
fn a_replica_that_made_up_for_the_old_one_goes_in_its_place() {
    for webhook in [true, false] {
        let mut world = World { webhook, crashes: vec![1], ..World::with(1) };
        assert!(matches!(world.call(&|at| decide::place(at, &n("n2"))), Ended::Killed));
        world.pods.clear();
        world.node = Some("n1");
        settle(&mut world);
        assert_eq!(world.live(), ["p2"]);
        world.node = Some("n2");
        let target = place(&mut world, 0).unwrap();
        settle(&mut world);
        assert_eq!(world.live(), ["p2", target.as_str()]);
        assert_eq!(world.on("n2"), 1);
        retire(&mut world, 0, "n1", Some("p1")).unwrap();
        release(&mut world, 0).unwrap();
        settle(&mut world);
        nothing_left(&world, 1, "made up for");
        assert_eq!(world.live(), [target.as_str()]);
    }
}

/// The same, and nobody sent the one that was made up for it: it is not taken for the new one.
#[test]
fn what_was_there_before_the_raise_is_not_the_new_one() {
    let mut world = World { webhook: false, crashes: vec![1], ..World::with(2) };
    assert!(matches!(world.call(&|at| decide::place(at, &n("n2"))), Ended::Killed));
    world.pods.remove(0);
    settle(&mut world);
    assert_eq!(world.live(), ["p2", "p3"]);
    assert_eq!(place(&mut world, 0).unwrap().as_str(), "p4");
}

/// A controller that goes by something else is found out.
#[test]
fn the_wrong_replica_is_an_error_that_says_so() {
    let mut world = World::with(1);
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    let way = Way::On(ReplicaId::new("p1"), n("n1"));
    world.eager = false;
    loop {
        let (entry, seen) = (world.entry.clone().unwrap(), world.seen());
        let at = At { workload: &world::id(), entry: Some(&entry), seen: &seen, late: false, raised: false };
        let step = decide::leave(&at, &entry, &way);
        if let Step::Scale { replicas, .. } = step {
            world.deployment.wanted = replicas;
            world.deployment.ours = true;
            break;
        }
        world.crashes = vec![world.writes + 1];
        world.call(&|at| decide::leave(at, at.entry.unwrap(), &way));
    }
    world.pods.retain(|pod| pod.name != target.as_str());
    let error = retire(&mut world, 0, "n1", Some("p1")).unwrap_err();
    assert_eq!(error.why, Why::WrongReplica);
    assert!(
        error.problem.contains("`p1` on n1 was to go, but its controller took another one (p2)"),
        "{error}"
    );
    assert_eq!(world.live(), ["p1"], "nothing more is taken");
}

fn overtaken(world: &mut World) -> Option<String> {
    let seen = std::cell::RefCell::new(None);
    call(world, 0, &|at| {
        seen.replace(decide::overtaken(at));
        Step::Done(None)
    })
    .unwrap();
    seen.into_inner()
}

/// Pods that a new template brings have neither the traffic nor the names of a move.
#[test]
fn a_move_whose_pods_are_replaced_is_overtaken() {
    let mut world = World::with(2);
    assert_eq!(overtaken(&mut world), None, "nothing moves");
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    assert_eq!(overtaken(&mut world), None, "both ends are there");

    let mut lost = world.clone();
    lost.pods.retain(|pod| pod.name != "p1");
    assert_eq!(overtaken(&mut lost), None, "others of before are there");
    lost.pods.retain(|pod| pod.name == target.as_str());
    assert_eq!(overtaken(&mut lost), None, "the new one is there");

    let mut changed = world.clone();
    changed.pods[0].current = false;
    let said = overtaken(&mut changed).unwrap();
    assert_eq!(said, "the pod template was changed, and 1 pods of before it go");

    for pod in &mut world.pods {
        pod.name = format!("{}-anew", pod.name);
    }
    let said = overtaken(&mut world).unwrap();
    assert_eq!(said, "neither the pods of before the move nor its new one are there any more");
    // And that is the end of it: one of them is one too many.
    leave(&mut world, 0, &|at, entry| Ok(decide::forsaken(at, entry))).unwrap();
    release(&mut world, 0).unwrap();
    settle(&mut world);
    nothing_left(&world, 2, "overtaken");
}

/// A rollout replaces both ends while the move is being let go. Its pod was marked as the one to go before that was seen, and
/// the number of replicas is what it was: what is left is nobody's to take.
#[test]
fn what_a_rollout_has_brought_is_left_alone() {
    let mut world = World::with(1);
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    world.pods.retain(|pod| pod.name == target.as_str());
    world.pods[0].name = "anew".to_owned();
    world.entry.as_mut().unwrap().target = Some(ReplicaId::new("anew"));
    (world.deployment.wanted, world.deployment.ours) = (1, true);
    forsake(&mut world).unwrap();
    settle(&mut world);
    assert_eq!(world.live(), ["anew"]);
    nothing_left(&world, 1, "replaced by a rollout");
}
