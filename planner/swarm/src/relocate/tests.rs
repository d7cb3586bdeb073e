//! Moves in a simulated Swarm: killed anywhere, disturbed by others, with targets that do not work.
mod sim;

use super::decide::{self, At, Change, Step};
use crate::{
    error::{SwarmError, Why},
    spec::Spec,
    surge::{Moving, surge_name, surge_spec},
};
use proptest::prelude::*;
use sim::{NAME, Sim};

const LATE: u64 = 40;

/// How one call of the planner ended.
#[derive(Debug)]
enum Called {
    Done,
    TakeBack(SwarmError),
    #[expect(dead_code, reason = "it is printed")]
    Failed(SwarmError),
    /// The planner was killed.
    Killed,
}

/// What is tried, and what is watched.
struct Trial {
    sim: Sim,
    slot: u64,
    from: String,
    to: String,
    writes: Vec<&'static str>,
    /// Writes after which the planner is killed.
    kills: Vec<usize>,
    /// Somebody else changes something before this write.
    disturbed: Vec<(usize, Disturbance)>,
    /// The slot served at every moment.
    unbroken: bool,
}

#[derive(Clone, Debug)]
enum Disturbance {
    Scale(u64),
    Image,
    Label,
    StackDeploy,
    DrainTarget,
    DrainSource,
}

impl Trial {
    fn new(nodes: usize, replicas: u64, slot: u64, seed: u64) -> Self {
        let sim = Sim::new(nodes, replicas, seed);
        let (from, to) = (sim.node_of(slot).unwrap(), sim.free_node().unwrap());
        Self {
            sim,
            slot,
            from,
            to,
            writes: Vec::new(),
            kills: Vec::new(),
            disturbed: Vec::new(),
            unbroken: true,
        }
    }

    fn tick(&mut self) {
        self.sim.tick();
        self.unbroken &= self.sim.serves(self.slot);
    }

    fn call(&mut self, next: impl Fn(&At<'_>) -> Step) -> Called {
        let (began, mut begun) = (self.sim.now, false);
        loop {
            let seen = self.sim.seen();
            let late = self.sim.now - began > LATE;
            let step = next(&At { name: NAME, seen: &seen, late, begun });
            assert!(self.sim.now - began < LATE * 4, "it does not come to rest: {step:?}");
            let wrote = match &step {
                Step::Done => return Called::Done,
                Step::TakeBack(reason) => return Called::TakeBack(reason.clone()),
                Step::Fail(reason) => return Called::Failed(reason.clone()),
                Step::Wait(_) => {
                    self.tick();
                    continue;
                }
                Step::Create(_) => "create",
                Step::Note(_) => "note",
                Step::Write(Change::Moving, _) => "moving",
                Step::Write(Change::Holding, _) => "holding",
                Step::Write(Change::Restoring, _) => "restoring",
                Step::Remove(_) => "remove",
            };
            let count = self.writes.len();
            let mut disturbed = false;
            while let Some(index) = self.disturbed.iter().position(|(at, _)| *at == count) {
                let (_, disturbance) = self.disturbed.swap_remove(index);
                self.disturb(&disturbance);
                disturbed = true;
            }
            // What was decided is of the state before that: a write of another version is refused.
            self.sim.apply(&step, &seen);
            if disturbed {
                self.tick();
                continue;
            }
            begun |= wrote == "moving";
            self.writes.push(wrote);
            self.tick();
            if self.kills.contains(&count) {
                return Called::Killed;
            }
        }
    }

    fn disturb(&mut self, disturbance: &Disturbance) {
        match disturbance {
            Disturbance::Scale(replicas) => {
                self.sim.change(&["Mode", "Replicated", "Replicas"], Some(&replicas.to_string()));
            }
            Disturbance::Image => self.sim.change(&["TaskTemplate", "ContainerSpec", "Image"], Some("\"b\"")),
            Disturbance::Label => self.sim.change(&["Labels", "x"], Some("\"y\"")),
            Disturbance::StackDeploy => {
                self.sim.change(
                    &["TaskTemplate", "Placement"],
                    Some(r#"{"Constraints":["node.role!=x"],"MaxReplicas":2,"Unknown":[1.0]}"#),
                );
                self.sim.change(
                    &["UpdateConfig"],
                    Some(r#"{"Parallelism":2,"FailureAction":"rollback","Order":"stop-first"}"#),
                );
            }
            Disturbance::DrainTarget => self.sim.drain(&self.to.clone()),
            Disturbance::DrainSource => self.sim.drain(&self.from.clone()),
        }
    }

    /// A call that is made again after each kill.
    fn again(&mut self, next: impl Fn(&At<'_>) -> Step) -> Called {
        loop {
            match self.call(&next) {
                Called::Killed => {}
                ended => return ended,
            }
        }
    }

    fn place(&mut self) -> Called {
        let (from, to) = (self.from.clone(), self.to.clone());
        let moving = Moving { slot: self.slot, from: &from, to: &to };
        self.again(|at| decide::place(at, moving))
    }

    /// With what its failure takes back, also when the planner is killed in the middle of that.
    fn hand_over(&mut self) -> Called {
        let (from, slot) = (self.from.clone(), self.slot);
        match self.again(|at| decide::hand_over(at, slot, &from)) {
            Called::TakeBack(reason) => match self.again(decide::take_back) {
                Called::Done => Called::TakeBack(reason),
                other => other,
            },
            other => other,
        }
    }

    fn others(&self) -> Vec<(String, String)> {
        let own = format!("{NAME}.{}@", self.slot);
        self.sim.running().into_iter().filter(|(name, _)| !name.starts_with(&own)).collect()
    }

    fn settle(&mut self) {
        for _ in 0..30 {
            self.tick();
        }
    }

    /// Nothing of the planner's is left in the service.
    fn is_as_before(&self, spec: &str) {
        assert_eq!(self.sim.service.spec, spec);
        assert!(self.sim.surge.is_none());
        if let Some(previous) = &self.sim.service.previous {
            assert!(!previous.contains("node.id"), "{previous}");
        }
    }
}

#[test]
fn a_move_of_one_of_one_and_of_one_of_three() {
    for (nodes, replicas, slot) in [(2, 1, 1), (4, 3, 2), (5, 3, 1)] {
        let mut trial = Trial::new(nodes, replicas, slot, 7);
        let (spec, others) = (trial.sim.service.spec.clone(), trial.others());
        assert!(matches!(trial.place(), Called::Done));
        assert_eq!(trial.sim.service.spec, spec, "the service is not touched before the hand-over");
        assert!(matches!(trial.hand_over(), Called::Done));
        assert!(matches!(trial.again(decide::finish), Called::Done));
        assert_eq!(trial.writes, ["create", "note", "moving", "restoring", "restoring", "remove"]);
        trial.settle();
        trial.is_as_before(&spec);
        assert_eq!(trial.sim.node_of(slot), Some(trial.to.clone()));
        assert_eq!(trial.others(), others);
        assert!(trial.unbroken);
    }
}

#[test]
fn killed_after_any_write_it_comes_to_the_same_end() {
    for kill in 0..8 {
        for again in [0, 1, 3] {
            let mut trial = Trial::new(4, 3, 2, 11 + kill as u64);
            trial.kills = vec![kill, kill + again];
            let (spec, others) = (trial.sim.service.spec.clone(), trial.others());
            assert!(matches!(trial.place(), Called::Done));
            assert!(matches!(trial.hand_over(), Called::Done), "killed after write {kill}");
            assert!(matches!(trial.again(decide::finish), Called::Done));
            trial.settle();
            trial.is_as_before(&spec);
            assert_eq!((trial.others(), trial.sim.node_of(2)), (others, Some(trial.to.clone())));
            assert!(trial.unbroken);
        }
    }
}

#[test]
fn a_new_task_that_does_not_run_is_taken_back() {
    for kill in 0..10 {
        for (replicas, slow) in [(1, false), (1, true), (3, false), (3, true)] {
            let mut trial = Trial::new(4, replicas, 1, 3 + kill as u64);
            trial.kills = vec![kill];
            let spec = trial.sim.service.spec.clone();
            let before = trial.sim.running();
            assert!(matches!(trial.place(), Called::Done));
            if slow {
                trial.sim.slow.push(trial.to.clone());
            } else {
                trial.sim.bad.push(trial.to.clone());
            }
            let Called::TakeBack(error) = trial.hand_over() else { panic!("it was handed over") };
            assert!(matches!(error.why, Why::DidNotStart | Why::Interfered), "{error}");
            assert_eq!(trial.sim.service.spec, spec);
            assert!(trial.sim.surge.is_some(), "it stands in still");
            assert!(matches!(trial.again(decide::back), Called::Done));
            trial.settle();
            trial.is_as_before(&spec);
            assert_eq!(trial.sim.running(), before, "the source was not touched");
            assert!(trial.unbroken);
        }
    }
}

#[test]
fn a_surge_task_that_fails_says_why() {
    let mut trial = Trial::new(3, 1, 1, 5);
    trial.sim.bad_surge.push(trial.to.clone());
    let Called::TakeBack(error) = trial.place() else { panic!("it was placed") };
    assert_eq!(error.why, Why::DidNotStart);
    assert!(error.to_string().contains("failed: no luck"), "{error}");
    assert!(matches!(trial.again(decide::back), Called::Done));
    assert!(trial.sim.surge.is_none());
    assert!(trial.unbroken);
}

#[test]
fn what_others_do_ends_in_order() {
    for at in 0..7 {
        for disturbance in [
            Disturbance::Scale(4),
            Disturbance::Scale(1),
            Disturbance::Image,
            Disturbance::Label,
            Disturbance::StackDeploy,
            Disturbance::DrainTarget,
            Disturbance::DrainSource,
        ] {
            let mut trial = Trial::new(6, 3, 2, 1 + at as u64);
            trial.disturbed = vec![(at, disturbance.clone())];
            let mut calls = vec![trial.place()];
            if matches!(calls[0], Called::Done) {
                calls.push(trial.hand_over());
            }
            if calls.iter().all(|call| matches!(call, Called::Done)) {
                calls.push(trial.again(decide::finish));
            }
            let seen = trial.sim.seen();
            let overtaken = decide::overtaken(&At { name: NAME, seen: &seen, late: false, begun: false });
            let end = if calls.iter().all(|call| matches!(call, Called::Done)) {
                Called::Done
            } else if overtaken.is_some() {
                trial.again(decide::let_go)
            } else {
                match trial.again(decide::back) {
                    Called::Done => Called::Done,
                    // It was handed over by the time.
                    _ => trial.again(decide::finish),
                }
            };
            assert!(matches!(end, Called::Done), "{disturbance:?} before write {at}: {calls:?} {end:?}");
            trial.settle();
            let spec = &trial.sim.service.spec;
            assert!(
                !spec.contains("node.id") && spec.contains("stop-first"),
                "{disturbance:?} before {at}: {spec}"
            );
            assert!(trial.sim.surge.is_none(), "{disturbance:?} before {at}");
            let wanted = match disturbance {
                Disturbance::Scale(replicas) => replicas,
                _ => 3,
            };
            if trial.disturbed.is_empty() {
                assert_eq!(trial.sim.running().len() as u64, wanted, "{disturbance:?} before {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn killed_anywhere_the_slot_serves_and_nothing_is_left(
        seed in 1_u64.., replicas in 1_u64..4, nodes in 5_usize..7, kills in prop::collection::vec(0_usize..14, 0..6),
        bad in any::<bool>(), slow in any::<bool>(), gives_up in any::<bool>()
    ) {
        let slot = 1 + seed % replicas;
        let mut trial = Trial::new(nodes, replicas, slot, seed);
        trial.kills = kills;
        let (spec, others) = (trial.sim.service.spec.clone(), trial.others());
        let before = trial.sim.running();
        prop_assert!(matches!(trial.place(), Called::Done));
        if bad {
            trial.sim.bad.push(trial.to.clone());
        }
        if slow {
            trial.sim.slow.push(trial.to.clone());
        }
        let handed = !gives_up && matches!(trial.hand_over(), Called::Done);
        prop_assert_eq!(handed, !bad && !slow && !gives_up);
        let end = if handed { trial.again(decide::finish) } else { trial.again(decide::back) };
        prop_assert!(matches!(end, Called::Done));
        trial.settle();
        trial.is_as_before(&spec);
        prop_assert_eq!(trial.others(), others);
        if !handed {
            prop_assert_eq!(trial.sim.running(), before);
        }
        prop_assert!(trial.unbroken);
    }
}

#[test]
fn a_surge_service_is_found_by_nobody_and_has_what_the_service_has() {
    let spec = Spec::new(r#"{"Name":"shop_web","Labels":{"traefik.enable":"true"},"TaskTemplate":{"ContainerSpec":{"Image":"a","Ulimits":[{"Soft":1}],"Unheard":1.50},"RestartPolicy":{"Condition":"any"},"Resources":{"Limits":{"NanoCPUs":5},"Reservations":{"NanoCPUs":4}},"Placement":{"Constraints":["node.labels.a==b"],"Preferences":[{"Spread":{"SpreadDescriptor":"node.labels.z"}}],"MaxReplicas":1},"Networks":[{"Target":"n1","Aliases":["web"],"DriverOpts":{"a":"b"}},{"Target":"n2"}],"ForceUpdate":3},"Mode":{"Replicated":{"Replicas":3}},"UpdateConfig":{"Order":"start-first"},"RollbackConfig":{},"EndpointSpec":{"Mode":"vip","Ports":[{"PublishedPort":80}]}}"#).unwrap();
    let surge = surge_spec("svc1", "shop_web", &spec, Moving { slot: 2, from: "a", to: "d" }).unwrap();
    let template = crate::surge::template(&spec).unwrap();
    let expected = format!(
        r#"{{"Name":"shop_web-foremesh","Labels":{{"foremesh.dev/surge-from":"a","foremesh.dev/surge-name":"shop_web","foremesh.dev/surge-of":"svc1","foremesh.dev/surge-slot":"2","foremesh.dev/surge-template":"{template}","foremesh.dev/surge-to":"d"}},"TaskTemplate":{{"ContainerSpec":{{"Image":"a","Ulimits":[{{"Soft":1}}],"Unheard":1.50}},"RestartPolicy":{{"Condition":"none"}},"Resources":{{"Limits":{{"NanoCPUs":5}}}},"Placement":{{"Constraints":["node.labels.a==b","node.id==d"]}},"Networks":[{{"Target":"n1","DriverOpts":{{"a":"b"}}}},{{"Target":"n2"}}],"ForceUpdate":3}},"Mode":{{"Replicated":{{"Replicas":1}}}},"EndpointSpec":{{"Mode":"dnsrr"}}}}"#
    );
    assert_eq!(surge.as_str(), expected);
    let long = "a".repeat(63);
    assert_eq!(surge_name(&long).len(), 63);
    assert_ne!(surge_name(&long), surge_name(&format!("{}b", "a".repeat(62))));
}
