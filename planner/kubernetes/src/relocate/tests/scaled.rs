//! Others who change the number of replicas while one is moved.
use super::{super::error::Why, nothing_left, place, release, retire, settle, world::World};
use crate::relocate::error::RelocateError;

/// As the planner does: what did not work is taken back, and a way on that does not work is turned back.
fn moved(world: &mut World, on: bool) -> Result<(), RelocateError> {
    let placed = place(world, 0);
    if placed.is_err() {
        release(world, 0)?;
    }
    let target = placed?;
    settle(world);
    let there = world.live().contains(&target.as_str());
    let mut outcome = if on && there { retire(world, 0, "n1", Some("p1")) } else { Ok(()) };
    let turned = outcome.as_ref().is_err_and(|error| error.why == Why::NothingToStay);
    if !on || !there || turned {
        outcome = retire(world, 0, "n2", Some(target.as_str()));
    }
    outcome.and_then(|()| release(world, 0))
}

/// After each write of a move somebody sets another number: in the end it is that number.
#[test]
fn what_others_set_is_what_is_there_in_the_end() {
    let mut changes = 0;
    for before in [1_u32, 3] {
        for number in [1, 2, 3, 4, 6] {
            for (after, eager) in (1..=12).flat_map(|after| [(after, true), (after, false)]) {
                let mut world = World { eager, foreign: Some((after, number)), ..World::with(before) };
                let what = format!("{before} replicas, {number} after write {after}, eager {eager}");
                let outcome = moved(&mut world, true);
                if let Err(error) = &outcome {
                    assert_eq!(error.why, Why::Interfered, "{what}: {error}");
                }
                settle(&mut world);
                // Where it is what we had made of it already, nobody can tell.
                nothing_left(&world, if world.changed { number } else { before }, &what);
                changes += usize::from(world.changed);
                let least = before.min(number) as usize;
                assert!(world.least_ready >= least, "{what}: only {} were ready", world.least_ready);
            }
        }
    }
    assert!(changes > 100, "{changes} changes");
}

/// Somebody puts the number back to what it was: before the promotion all is as before, after it the new one stays.
#[test]
fn a_revert_takes_the_new_one_before_its_promotion_and_the_old_one_after_it() {
    let mut world = World::with(1);
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    world.set_by_others(1);
    settle(&mut world);
    assert_eq!(world.live(), ["p1"]);
    assert_eq!(retire(&mut world, 0, "n1", Some("p1")).unwrap_err().why, Why::NothingToStay);
    retire(&mut world, 0, "n2", Some(target.as_str())).unwrap();
    release(&mut world, 0).unwrap();
    nothing_left(&world, 1, "before");
    assert_eq!(world.live(), ["p1"]);

    let mut world = World::with(1);
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    // Promoted, and killed before it lowers the number itself: phase, target, source.
    world.crashes = vec![world.writes + 3];
    let killed = world.call(&|at| {
        let way = super::decide::way(at, at.entry.unwrap(), &super::n("n1"), Some(&"p1".into())).unwrap();
        super::decide::leave(at, at.entry.unwrap(), &way)
    });
    assert!(matches!(killed, super::Ended::Killed), "{killed:?}");
    world.set_by_others(1);
    settle(&mut world);
    retire(&mut world, 0, "n1", Some("p1")).unwrap();
    release(&mut world, 0).unwrap();
    nothing_left(&world, 1, "after");
    assert_eq!(world.live(), [target.as_str()]);
}

/// Somebody puts it back as soon as it is raised: that is not fought.
#[test]
fn a_number_that_is_put_back_at_once_is_not_raised_again() {
    let mut world = World { foreign: Some((2, 1)), ..World::with(1) };
    let error = place(&mut world, 0).unwrap_err();
    assert_eq!(error.why, Why::Interfered);
    assert!(error.problem.contains("put its number of replicas back to 1"), "{error}");
    release(&mut world, 0).unwrap();
    settle(&mut world);
    nothing_left(&world, 1, "put back");
    assert_eq!(world.live(), ["p1"]);
}

/// A scale-up keeps the one that is to go, so one more is made before it goes.
#[test]
fn a_scale_up_makes_up_for_the_one_that_goes() {
    for on in [true, false] {
        let mut world = World::with(1);
        let target = place(&mut world, 0).unwrap();
        settle(&mut world);
        world.set_by_others(3);
        settle(&mut world);
        let (node, gone) = if on { ("n1", "p1") } else { ("n2", target.as_str()) };
        world.least_ready = usize::MAX;
        retire(&mut world, 0, node, Some(gone)).unwrap();
        release(&mut world, 0).unwrap();
        nothing_left(&world, 3, "scaled up");
        assert!(!world.live().contains(&gone), "{:?}", world.live());
        assert_eq!(world.least_ready, 3, "new before old");
    }
}

/// The API server does not know who wrote the number: moves work all the same, and what others set is kept.
#[test]
fn moves_work_where_nobody_knows_who_scaled() {
    for (replicas, on, autoscaled) in [
        (1, true, false),
        (1, false, false),
        (3, true, false),
        (3, false, false),
        (2, true, true),
        (2, false, true),
    ] {
        let mut start = World::with(replicas).untracked();
        if autoscaled {
            start = start.scaled_by(1, 5, None);
        }
        let mut plain = start.clone();
        super::whole(&mut plain, 0, on).unwrap();
        for death in 0..plain.writes {
            for idle in [0, 1, 20] {
                let mut world = World { crashes: vec![death], ..start.clone() };
                let what = format!("{replicas} replicas, on {on}, autoscaled {autoscaled}, {death}, {idle}");
                super::whole(&mut world, idle, on).unwrap_or_else(|error| panic!("{what}: {error}"));
                settle(&mut world);
                nothing_left(&world, replicas, &what);
                assert_eq!(world.on("n2"), usize::from(on), "{what}");
            }
        }
    }
    for number in [1, 3, 5] {
        let mut world = World::with(1).untracked();
        let target = place(&mut world, 0).unwrap();
        settle(&mut world);
        world.set_by_others(number);
        settle(&mut world);
        retire(&mut world, 0, "n2", Some(target.as_str())).unwrap();
        release(&mut world, 0).unwrap();
        settle(&mut world);
        nothing_left(&world, number, "set by others");
        assert!(!world.live().contains(&target.as_str()));
    }
}

/// With an autoscaler its least number is raised, and is as it was in the end, killed before any write.
#[test]
fn an_autoscaler_is_told_and_has_its_least_number_back() {
    for (load, on, eager) in
        [(None, true, true), (None, false, false), (Some(2), true, false), (Some(2), false, true)]
    {
        let start = World { eager, ..World::with(2).scaled_by(1, 5, load) };
        let mut plain = start.clone();
        moved(&mut plain, on).unwrap();
        for death in 0..plain.writes {
            for idle in [0, 1, 20] {
                let mut world = World { crashes: vec![death], ..start.clone() };
                let what = format!("load {load:?}, on {on}, eager {eager}, killed before {death}, {idle}");
                super::whole(&mut world, idle, on).unwrap_or_else(|error| panic!("{what}: {error}"));
                settle(&mut world);
                nothing_left(&world, 2, &what);
                assert_eq!(world.scaler.as_ref().unwrap().min, 1, "{what}");
                assert_eq!(world.on("n2"), usize::from(on), "{what}");
                assert!(world.least_ready >= 2, "{what}: {} were ready", world.least_ready);
            }
        }
    }
}

/// More load comes while a replica is moved: the autoscaler has its way.
#[test]
fn an_autoscaler_that_scales_meanwhile_has_the_last_word() {
    for on in [true, false] {
        let mut world = World::with(2).scaled_by(1, 6, Some(2));
        let target = place(&mut world, 0).unwrap();
        settle(&mut world);
        world.load = Some(5);
        settle(&mut world);
        let (node, gone) = if on { ("n1", "p1") } else { ("n2", target.as_str()) };
        retire(&mut world, 0, node, Some(gone)).unwrap();
        release(&mut world, 0).unwrap();
        settle(&mut world);
        assert_eq!((world.deployment.wanted, world.scaler.as_ref().unwrap().min), (5, 1));
        assert!(!world.live().contains(&gone));
    }
}

/// Its least number is somebody else's by now: it is left alone.
#[test]
fn a_least_number_that_others_set_stays() {
    let mut world = World::with(2).scaled_by(1, 6, None);
    let target = place(&mut world, 0).unwrap();
    settle(&mut world);
    let scaler = world.scaler.as_mut().unwrap();
    (scaler.min, scaler.ours) = (2, false);
    retire(&mut world, 0, "n1", Some("p1")).unwrap();
    release(&mut world, 0).unwrap();
    settle(&mut world);
    assert_eq!(world.scaler.as_ref().unwrap().min, 2);
    nothing_left(&world, 2, "least number");
    assert!(world.live().contains(&target.as_str()));
}
