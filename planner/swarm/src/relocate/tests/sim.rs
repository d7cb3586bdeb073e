//! A tiny Swarm: one service, its surge service, and what swarmkit does with their tasks, as far as it was seen on dockerd.
use crate::{
    mapping::replica_id,
    objects::{Node, Service, Task},
    relocate::{
        decide::Step,
        seen::{Read, Seen},
    },
    spec::Spec,
    surge::{PLACEMENT, Surge, template},
};
use serde_json::{Value, json};

pub(super) const NAME: &str = "shop_web";

#[derive(Clone, Debug)]
pub(super) struct SimTask {
    pub(super) id: String,
    pub(super) slot: u64,
    pub(super) node: String,
    pub(super) desired: &'static str,
    pub(super) state: &'static str,
    template: String,
    created: u64,
    /// Ticks until it is what it becomes next.
    left: u32,
}

impl SimTask {
    pub(super) fn wanted(&self) -> bool {
        self.desired == "running" && !matches!(self.state, "failed" | "shutdown")
    }

    pub(super) fn runs(&self) -> bool {
        self.wanted() && self.state == "running"
    }
}

#[derive(Clone, Debug)]
pub(super) struct SimService {
    id: &'static str,
    pub(super) spec: String,
    pub(super) previous: Option<String>,
    version: u64,
    updated: u64,
    pub(super) update: &'static str,
    pub(super) tasks: Vec<SimTask>,
}

#[derive(Clone, Debug)]
pub(super) struct Sim {
    pub(super) now: u64,
    pub(super) nodes: Vec<(String, &'static str)>,
    pub(super) service: SimService,
    pub(super) surge: Option<SimService>,
    /// Nodes on which each new task of the service fails.
    pub(super) bad: Vec<String>,
    /// Nodes on which none comes to run, or to fail.
    pub(super) slow: Vec<String>,
    /// Nodes on which none of the surge service does.
    pub(super) bad_surge: Vec<String>,
    next_id: u64,
    random: u64,
}

impl Sim {
    pub(super) fn new(nodes: usize, replicas: u64, seed: u64) -> Self {
        let spec = format!(
            r#"{{"Name":"{NAME}","Labels":{{"foremesh.dev/port":"80"}},"TaskTemplate":{{"ContainerSpec":{{"Image":"a"}},"Placement":{{"Constraints":["node.role!=x"],"MaxReplicas":2,"Unknown":[1.0]}},"Networks":[{{"Target":"n","Aliases":["web"]}}]}},"Mode":{{"Replicated":{{"Replicas":{replicas}}}}},"UpdateConfig":{{"Parallelism":2,"FailureAction":"rollback","Order":"stop-first"}}}}"#
        );
        let nodes = (1..=nodes).map(|node| (format!("id{node}"), "active")).collect();
        let service = SimService {
            id: "svc",
            spec,
            previous: None,
            version: 1,
            updated: 0,
            update: "",
            tasks: Vec::new(),
        };
        let mut sim = Self {
            now: 1,
            nodes,
            service,
            surge: None,
            bad: Vec::new(),
            slow: Vec::new(),
            bad_surge: Vec::new(),
            next_id: 1,
            random: seed | 1,
        };
        for _ in 0..60 {
            sim.tick();
        }
        sim
    }

    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below.max(1) as u64) as usize
    }

    pub(super) fn node_of(&self, slot: u64) -> Option<String> {
        self.service
            .tasks
            .iter()
            .find(|task| task.slot == slot && task.wanted())
            .map(|task| task.node.clone())
    }

    pub(super) fn free_node(&self) -> Option<String> {
        let taken = |id: &String| self.service.tasks.iter().any(|task| task.wanted() && task.node == *id);
        self.nodes.iter().map(|(id, _)| id).find(|id| !taken(id)).cloned()
    }

    pub(super) fn seen(&self) -> Seen {
        let nodes = self.nodes.iter().map(|(id, availability)| {
            let hostname = id.replace("id", "node-");
            serde_json::from_value::<Node>(
                json!({"ID": id, "Spec": {"Role": "worker", "Availability": availability},
                "Description": {"Hostname": hostname}, "Status": {"State": "ready"}}),
            )
            .unwrap()
        });
        let surge = self.surge.as_ref();
        Seen {
            nodes: nodes.collect(),
            service: Some(Read::new(self.service.read()).unwrap()),
            tasks: self.service.tasks(),
            surge: surge.map(|surge| Surge::read(&surge.read()).unwrap()),
            surge_tasks: surge.map(SimService::tasks).unwrap_or_default(),
        }
    }

    /// Does what was decided, if what it was decided by is still so.
    pub(super) fn apply(&mut self, step: &Step, seen: &Seen) {
        match step {
            Step::Create(spec) if self.surge.is_none() => {
                self.surge = Some(SimService {
                    id: "surge",
                    spec: spec.as_str().to_owned(),
                    previous: None,
                    version: 1,
                    updated: self.now,
                    update: "",
                    tasks: Vec::new(),
                });
            }
            Step::Note(spec) => {
                let now = self.now;
                if let (Some(surge), Some(was)) = (&mut self.surge, &seen.surge)
                    && surge.version == was.service.version.index
                {
                    surge.write(spec.as_str(), now);
                }
            }
            Step::Write(_, spec) => {
                let of = seen.service.as_ref().map(|read| read.service.version.index);
                if of == Some(self.service.version) {
                    self.service.write(spec.as_str(), self.now);
                }
            }
            Step::Remove(_) => self.surge = None,
            _ => {}
        }
    }

    /// Somebody else changes the service.
    pub(super) fn change(&mut self, path: &[&str], value: Option<&str>) {
        let spec = Spec::new(self.service.spec.clone()).unwrap().with(path, value).unwrap();
        self.service.write(spec.as_str(), self.now);
    }

    pub(super) fn drain(&mut self, id: &str) {
        for (node, availability) in &mut self.nodes {
            if node == id {
                *availability = "drain";
            }
        }
        for service in [Some(&mut self.service), self.surge.as_mut()].into_iter().flatten() {
            for task in service.tasks.iter_mut().filter(|task| task.node == id && task.wanted()) {
                task.desired = "shutdown";
            }
        }
    }

    /// What happens in a second.
    pub(super) fn tick(&mut self) {
        self.now += 1;
        let mut service = self.service.clone();
        self.orchestrate(&mut service, true);
        self.update(&mut service);
        self.schedule(&mut service);
        Self::run(&mut service, &self.bad, &self.slow);
        self.service = service;
        if let Some(mut surge) = self.surge.take() {
            // Its tasks do not start again.
            self.orchestrate(&mut surge, false);
            self.schedule(&mut surge);
            Self::run(&mut surge, &self.bad_surge, &[]);
            self.surge = Some(surge);
        }
    }

    /// As many slots as are wanted; a task that has ended is followed by another one.
    fn orchestrate(&mut self, service: &mut SimService, again: bool) {
        let wanted = service.read_spec()["Mode"]["Replicated"]["Replicas"].as_u64().unwrap();
        let mut slots: Vec<u64> =
            service.tasks.iter().filter(|task| task.wanted()).map(|task| task.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        while slots.len() as u64 > wanted {
            let slot = slots.pop();
            for task in service.tasks.iter_mut().filter(|task| Some(task.slot) == slot) {
                task.desired = "shutdown";
            }
        }
        for slot in (1..).take(64) {
            let begun = service.tasks.iter().any(|task| task.slot == slot);
            if slots.len() as u64 == wanted || (begun && !again) {
                break;
            }
            if !slots.contains(&slot) {
                service.tasks.push(self.task(service, slot));
                slots.push(slot);
            }
        }
    }

    fn task(&mut self, service: &SimService, slot: u64) -> SimTask {
        self.next_id += 1;
        SimTask {
            id: format!("t{}", self.next_id),
            slot,
            node: String::new(),
            desired: "running",
            state: "pending",
            template: service.template(),
            created: self.now,
            left: 2,
        }
    }

    /// One slot at a time whose tasks are not what the spec says, the new task first.
    fn update(&mut self, service: &mut SimService) {
        let mut slots: Vec<u64> =
            service.tasks.iter().filter(|task| task.wanted()).map(|task| task.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        let fits = |task: &SimTask| task.template == service.template() && Self::allows(service, &task.node);
        let mut dirty = Vec::new();
        for slot in slots {
            let own: Vec<SimTask> =
                service.tasks.iter().filter(|task| task.slot == slot && task.wanted()).cloned().collect();
            if own.len() > 1 || !own.iter().all(fits) {
                dirty.push((slot, own.into_iter().map(|task| (fits(&task), task)).collect::<Vec<_>>()));
            }
        }
        if dirty.is_empty() {
            if service.update == "updating" {
                service.update = "completed";
            }
            return;
        }
        if service.update == "paused" {
            return;
        }
        let (slot, own) = dirty.swap_remove(self.random(dirty.len()));
        let clean: Vec<&SimTask> = own.iter().filter(|(fits, _)| *fits).map(|(_, task)| task).collect();
        match clean.as_slice() {
            [] => service.tasks.push(self.task(service, slot)),
            [one] if own.len() > 1 && !one.runs() && service.updating() => {}
            all => {
                // Whichever comes first, also one that does not run yet.
                let kept = all[self.random(all.len())].id.clone();
                for task in service.tasks.iter_mut().filter(|task| task.slot == slot && task.id != kept) {
                    task.desired = "shutdown";
                }
            }
        }
    }

    fn allows(service: &SimService, node: &str) -> bool {
        let spec = service.read_spec();
        let constraints =
            spec["TaskTemplate"]["Placement"]["Constraints"].as_array().cloned().unwrap_or_default();
        constraints.iter().filter_map(Value::as_str).all(|constraint| {
            match (constraint.strip_prefix("node.id=="), constraint.strip_prefix("node.id!=")) {
                (Some(id), _) => id == node,
                (_, Some(id)) => id != node && !node.is_empty(),
                _ => true,
            }
        })
    }

    fn schedule(&mut self, service: &mut SimService) {
        let limit = service.read_spec()["TaskTemplate"]["Placement"]["MaxReplicas"].as_u64().unwrap_or(0);
        for index in 0..service.tasks.len() {
            if !(service.tasks[index].wanted() && service.tasks[index].node.is_empty()) {
                continue;
            }
            let count = |id: &str| {
                service.tasks.iter().filter(|task| task.wanted() && task.node == id).count() as u64
            };
            let mut fit: Vec<(u64, String)> = self
                .nodes
                .iter()
                .filter(|(id, availability)| *availability == "active" && Self::allows(service, id))
                .map(|(id, _)| (count(id), id.clone()))
                .filter(|(count, _)| limit == 0 || *count < limit)
                .collect();
            fit.sort();
            let least = fit.first().map(|(count, _)| *count);
            fit.retain(|(count, _)| Some(*count) == least);
            if !fit.is_empty() {
                service.tasks[index].node = fit.swap_remove(self.random(fit.len())).1;
            }
        }
    }

    fn run(service: &mut SimService, bad: &[String], slow: &[String]) {
        for task in &mut service.tasks {
            if task.desired == "shutdown" {
                if !matches!(task.state, "failed" | "shutdown") {
                    task.state = "shutdown";
                }
            } else if !task.node.is_empty() && task.state != "running" && task.state != "failed" {
                if !slow.contains(&task.node) {
                    task.left = task.left.saturating_sub(1);
                }
                if task.left == 0 {
                    task.state = if bad.contains(&task.node) { "failed" } else { "running" };
                    if task.state == "failed" {
                        task.desired = "shutdown";
                        if service.update == "updating" {
                            service.update = "paused";
                        }
                    }
                } else {
                    task.state = "starting";
                }
            }
        }
    }

    /// Something answers for a slot.
    pub(super) fn serves(&self, slot: u64) -> bool {
        let own = self.service.tasks.iter().any(|task| task.slot == slot && task.runs());
        own || self.surge.as_ref().is_some_and(|surge| surge.tasks.iter().any(SimTask::runs))
    }

    /// Names and ids of what runs of all slots.
    pub(super) fn running(&self) -> Vec<(String, String)> {
        let runs = self.service.tasks.iter().filter(|task| task.runs());
        let mut all: Vec<_> = runs
            .map(|task| {
                let node = task.node.as_str().into();
                (replica_id(NAME, task.slot, &node).to_string(), task.id.clone())
            })
            .collect();
        all.sort();
        all
    }
}

impl SimService {
    fn read(&self) -> Service {
        let previous = self.previous.as_ref().map_or("null", String::as_str);
        let status = if self.update.is_empty() {
            "null".to_owned()
        } else {
            format!(r#"{{"State":"{}","Message":"m"}}"#, self.update)
        };
        let text = format!(
            r#"{{"ID":"{}","Version":{{"Index":{}}},"UpdatedAt":"{}","Spec":{},"PreviousSpec":{previous},"UpdateStatus":{status}}}"#,
            self.id,
            self.version,
            time(self.updated),
            self.spec
        );
        serde_json::from_str(&text).unwrap()
    }

    fn read_spec(&self) -> Value {
        serde_json::from_str(&self.spec).unwrap()
    }

    fn template(&self) -> String {
        template(&Spec::new(self.spec.clone()).unwrap()).unwrap()
    }

    fn updating(&self) -> bool {
        self.update == "updating"
    }

    fn write(&mut self, spec: &str, now: u64) {
        self.previous = Some(std::mem::replace(&mut self.spec, spec.to_owned()));
        self.version += 1;
        self.updated = now;
        self.update = if self.id == "svc" { "updating" } else { "" };
    }

    fn tasks(&self) -> Vec<Task> {
        let placement: Option<Value> = Spec::new(self.spec.clone())
            .unwrap()
            .get(PLACEMENT)
            .unwrap()
            .map(|text| serde_json::from_str(text).unwrap());
        let task = |task: &SimTask| {
            json!({"ID": task.id, "CreatedAt": time(task.created), "ServiceID": self.id, "Slot": task.slot,
                "NodeID": task.node, "DesiredState": task.desired,
                "Status": {"State": task.state, "Message": "m", "Err": if task.state == "failed" { "no luck" } else { "" }},
                "Spec": {"Placement": placement}})
        };
        self.tasks.iter().map(|each| serde_json::from_value(task(each)).unwrap()).collect()
    }
}

fn time(tick: u64) -> String {
    jiff::Timestamp::from_second(1_800_000_000 + tick as i64).unwrap().to_string()
}
