//! What is counted of a run, with strategies whose moves are written down beforehand.
use super::*;
use crate::test_worlds::{mesh, scenario};

/// Moves what it is told to, when it is told to.
struct Script(Vec<(usize, &'static str, &'static str)>);

impl Strategy for Script {
    fn decide(&mut self, world: &World, _: &Minute) -> Result<Vec<Order>, ReplayError> {
        let minute = (world.minute() - world.warm_up_minutes()) as usize - 1;
        let due = self.0.iter().filter(|(at, ..)| *at == minute);
        Ok(due
            .map(|(_, workload, to)| Order {
                workload: (*workload).to_owned(),
                replica: 0,
                to: (*to).to_owned(),
                service: (*workload).to_owned(),
                why: "it is written".to_owned(),
                ramp_percent: vec![50, 100],
            })
            .collect())
    }
}

fn settings() -> Settings {
    Settings { strategies: Vec::new(), caution: Caution::default(), policies: Vec::new(), keep_minutes: true }
}

/// Two nodes that are always full and some that are idle: whoever leaves a full one is well.
const FULL: &str = "
name: full
kind: neighbour
start: 2026-03-02T00:00:00Z
warmUp: 0m
measured: 6h
load: { utilisation: 0.3, noise: 0 }
background: { noise: 0 }
telemetry: { noise: 0, loss: 0 }
moves: { failureShare: 0 }
neighbours:
  - { node: hottest, at: 30m, hold: 5h, nodeUtilisation: 0.95 }
";

fn played(moves: Vec<(usize, &'static str, &'static str)>) -> Run {
    let world = World::new(&mesh(), &scenario(FULL), 1).unwrap();
    let mut script = Script(moves);
    run(StrategyKind::Reactive, world, Some(&mut script), &settings()).unwrap()
}

/// The service that suffers most when nothing is moved, where it is, and an idle node.
fn sufferer() -> (&'static str, &'static str, &'static str) {
    let world = World::new(&mesh(), &scenario(FULL), 1).unwrap();
    let untouched = played(Vec::new());
    let last = untouched.minutes.last().unwrap();
    let minutes = |at: usize| untouched.violated.iter().filter(|minute| minute[at]).count();
    // One that calls nobody suffers by its own node alone.
    let leaf = |name: &str| mesh().edges.iter().all(|edge| &*mesh().services[edge.from].name != name);
    let most = (0..last.truth.services.len())
        .filter(|at| leaf(&last.truth.services[*at].service))
        .max_by_key(|at| minutes(*at))
        .unwrap();
    assert!(minutes(most) > 200, "the neighbour hurts nobody: {} minutes", minutes(most));
    let name = last.truth.services[most].service.to_string();
    let nodes = world.inventory();
    let from =
        nodes.workloads.iter().find(|workload| *workload.name == *name).unwrap().replicas[0].node.to_string();
    let use_of = |node: &str| last.truth.nodes.iter().find(|it| &*it.node == node).unwrap().utilisation;
    let idle = last
        .truth
        .nodes
        .iter()
        .map(|node| node.node.to_string())
        .min_by(|a, b| use_of(a).total_cmp(&use_of(b)));
    (name.leak(), from.leak(), idle.unwrap().leak())
}

#[test]
fn a_move_to_an_idle_node_is_not_regretted_and_one_to_the_full_node_is() {
    let (service, full, idle) = sufferer();
    let untouched = played(Vec::new());
    let helped = played(vec![(60, service, idle)]);
    assert!(helped.violation_minutes() + 150 < untouched.violation_minutes());
    assert_eq!(helped.moves.len(), 1);
    let begun = &helped.moves[0];
    assert!(begun.succeeded && !begun.regretted, "{begun:?}");
    assert_eq!((begun.minute, &*begun.from, &*begun.to), (60, full, idle));

    // Away before anything happens, and back into the middle of it.
    let harmed = played(vec![(0, service, idle), (60, service, full)]);
    assert_eq!(harmed.moves.len(), 2);
    assert!(harmed.moves[1].regretted, "{:?}", harmed.moves[1]);
    assert!(harmed.move_caused > 0, "a move into a full node causes violations from then on");
}

#[test]
fn until_its_first_move_every_strategy_sees_the_same_world() {
    let (service, _, idle) = sufferer();
    let (untouched, moved) = (played(Vec::new()), played(vec![(60, service, idle)]));
    assert_eq!(untouched.minutes[..=60], moved.minutes[..=60]);
    assert_ne!(untouched.minutes[61..], moved.minutes[61..]);
}

#[test]
fn what_the_world_refuses_is_no_move() {
    let (service, full, _) = sufferer();
    let same = played(vec![(60, service, full)]);
    assert!(same.moves.is_empty());
    let nowhere = played(vec![(60, service, "no-such-node")]);
    assert!(nowhere.moves.is_empty());
    assert_eq!(nowhere.violated, played(Vec::new()).violated);
}

#[test]
fn a_move_that_has_not_ended_says_so() {
    let (service, _, idle) = sufferer();
    let late = played(vec![(358, service, idle)]);
    assert_eq!((late.moves[0].ended, late.moves[0].succeeded), (None, false));
}
