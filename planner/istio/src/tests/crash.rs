//! The planner is killed between any two writes.
use super::*;
use crate::shifter::changed;
use std::collections::BTreeSet;

#[test]
fn what_was_begun_is_ended_the_same_from_any_write_on() {
    let goals = [
        Goal::Split(shares(100, 0, 200)),
        Goal::Split(shares(40, 60, 200)),
        Goal::Split(shares(0, 100, 200)),
        Goal::Restored,
    ];
    for (name, first) in meshes() {
        let mut objects = first.clone();
        for goal in &goals {
            let mut whole = objects.clone();
            let writes = run(&mut whole, goal, 60).unwrap();
            assert!(writes > 0, "{name}: {goal:?} needs no write");
            for prefix in 0..=writes {
                let mut killed = objects.clone();
                run(&mut killed, goal, prefix).unwrap();
                safe(&killed);
                let mut resumed = killed.clone();
                let rest = run(&mut resumed, goal, 60).unwrap();
                assert_eq!((&resumed, rest), (&whole, writes - prefix), "{name}: {goal:?} after {prefix}");
                // Or it is taken back.
                restore(&mut killed);
                assert_eq!(plain(&killed), plain(&first), "{name}: back from {goal:?} after {prefix}");
            }
            assert_eq!(run(&mut whole, goal, 60).unwrap(), 0, "{name}: {goal:?} is not at rest");
            objects = whole;
        }
        assert_eq!(plain(&objects), plain(&first), "{name}");
    }
}

#[test]
fn on_the_way_out_the_routes_go_before_the_subsets() {
    for (name, mut objects) in meshes() {
        split(&mut objects, &shares(50, 50, 0));
        let mut kinds = Vec::new();
        while let Some(write) = Goal::Restored.next(&objects, &host()).unwrap() {
            kinds.push(write.kind());
            apply(&mut objects, &write);
            safe(&objects);
        }
        assert_eq!(kinds.first(), Some(&Kind::DestinationRule), "{name}: the note");
        assert_eq!(kinds.last(), Some(&Kind::DestinationRule), "{name}: the subsets");
        assert!(
            kinds[1..kinds.len() - 1].iter().all(|kind| *kind == Kind::VirtualService),
            "{name}: {kinds:?}"
        );
    }
}

/// Whoever finds nothing of a move but its objects can still tell whose they are.
#[test]
fn objects_tell_for_which_service_they_were_changed() {
    let (host, shares) = (host(), shares(100, 0, 0));
    let other = ServiceId::new("other.shop.svc.cluster.local");
    let services = BTreeSet::from([ServiceId::new(HOST), other]);
    let short = rule("theirs", json!({"host": "web"}));
    for (name, rules) in [("our own", Vec::new()), ("the user's, by its short name", vec![short])] {
        let mut objects = mesh(&[], &rules);
        assert_eq!(changed(&objects, &services), BTreeSet::new(), "{name}: before");
        let goal = Goal::Split(shares.clone());
        while let Some(write) = goal.next(&objects, &host).unwrap() {
            apply(&mut objects, &write);
            // From the first write on.
            assert_eq!(
                changed(&objects, &services),
                BTreeSet::from([ServiceId::new(HOST)]),
                "{name}: {write:?}"
            );
        }
        while let Some(write) = Goal::Restored.next(&objects, &host).unwrap() {
            apply(&mut objects, &write);
        }
        assert_eq!(changed(&objects, &services), BTreeSet::new(), "{name}: after");
    }
}
