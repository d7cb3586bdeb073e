//! Emulated plain hosts: a host dies with all that runs on it.
use crate::world::{Place, Requests, World};
use foremesh_tests::{
    hand_over::Files,
    hosts::{HOME, Mesh, OBJECTIVE_MS, SERVICE, SPARE, TARGET, post},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

/// A workload that its hosts file pins.
const STUCK: &str = "ledger";
const PINNED: &str = "its data is on the disk of this host";
/// Far above the objective, and no failure.
const SLOW_MS: u64 = 600;

/// Three hosts, each with an Envoy, and an edge.
pub(crate) struct Hosts {
    mesh: Mesh,
}

fn host(place: Place) -> &'static str {
    match place {
        Place::Home => HOME,
        Place::Target => TARGET,
        Place::Spare => SPARE,
    }
}

fn place(host: &str) -> Place {
    match host {
        HOME => Place::Home,
        TARGET => Place::Target,
        _ => Place::Spare,
    }
}

impl World for Hosts {
    const PLATFORM: &'static str = "hosts";
    const KEEPS_WEIGHTS: bool = true;
    const POLICY: &'static str = SERVICE;
    const OBJECTIVE_MS: u32 = OBJECTIVE_MS;

    async fn begin(homes: &[Place]) -> Self {
        let homes: Vec<&str> = homes.iter().map(|place| host(*place)).collect();
        let mesh = Mesh::prepare_without_past("approve", &homes).await;
        let file = mesh.planner.files().settings.with_file_name("hosts.yaml");
        let text = fs::read_to_string(&file).expect("the hosts file can be read");
        let mut hosts: Value = serde_json::from_str(&text).expect("the hosts file is JSON");
        let stuck = json!({"name": STUCK, "port": 9, "runsOn": [HOME], "pinned": PINNED});
        hosts["workloads"].as_array_mut().expect("it has workloads").push(stuck);
        fs::write(&file, format!("{hosts:#}\n")).expect("the hosts file can be written");
        Self { mesh }
    }

    fn node(&self, place: Place) -> &str {
        host(place)
    }

    fn names(&self) -> (&str, &str) {
        (SERVICE, SERVICE)
    }

    async fn replica_on(&self, place: Place) -> String {
        format!("{SERVICE}@{}", host(place))
    }

    fn files(&self) -> &Files {
        self.mesh.planner.files()
    }

    async fn start_planner(&mut self) {
        self.mesh.planner.start().await;
    }

    async fn kill_planner(&mut self) {
        self.mesh.planner.kill().await;
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        self.mesh.planner.json(path).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let body = ("application/json", body.to_string().into_bytes());
        let answer = post(self.mesh.planner.server(), path, Some(body)).await?;
        if (200..300).contains(&answer.status) { Ok(answer.json()) } else { Err(answer.body) }
    }

    async fn start_load(&mut self, rate: u32) {
        self.mesh.start_load_of(f64::from(rate)).await;
    }

    async fn end_load(&mut self) -> Requests {
        let (report, seconds) = self.mesh.finish_load().await;
        Requests {
            sent: report.totals.offered,
            failed: report.totals.offered - report.totals.ok,
            failed_by_second: seconds.iter().map(|second| second.failed).collect(),
            failures: report.failures.iter().take(5).map(|failure| failure.text.clone()).collect(),
        }
    }

    async fn spoil(&mut self, place: Place) {
        self.mesh
            .agent(host(place))
            .fault(SERVICE, SLOW_MS, 0.0)
            .await
            .expect("the replica can be made slow");
    }

    async fn crash(&mut self, place: Place) {
        self.mesh.kill_host(host(place));
    }

    async fn interfere(&mut self) -> String {
        // As somebody does who puts back a copy of the file: all traffic on the old replica, by a move over the file.
        let file = self.mesh.eds_file();
        let only_home = foremesh::endpoints::decode(&fs::read(file).expect("the endpoint file can be read"));
        let mut endpoints = only_home.expect("the endpoint file makes sense");
        let most = endpoints.endpoints.values().map(|endpoint| endpoint.weight).max();
        endpoints.endpoints.retain(|_, endpoint| Some(endpoint.weight) == most);
        let copy = file.with_extension("copy");
        fs::write(&copy, foremesh::endpoints::encode(&endpoints)).expect("a copy can be written");
        fs::rename(&copy, file).expect("the copy can be moved over the file");
        "the endpoint file was put back".to_owned()
    }

    fn stuck(&self) -> (&str, &str) {
        (STUCK, PINNED)
    }

    async fn serving(&self) -> Vec<Place> {
        self.mesh.answering().await.into_iter().map(place).collect()
    }

    async fn left_behind(&self) -> Result<Vec<String>, String> {
        let serving: BTreeSet<String> = self.mesh.answering().await.into_iter().map(str::to_owned).collect();
        let mut left = Vec::new();
        let weighed: BTreeSet<String> = self.mesh.weights().into_keys().collect();
        if weighed != serving {
            left.push(format!("{serving:?} answer, and {weighed:?} have traffic"));
        }
        let file = self.files().state.join("placements.json");
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let recorded: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let recorded = recorded["workloads"][SERVICE].as_array().into_iter().flatten();
        let recorded: BTreeSet<String> =
            recorded.filter_map(|host| host.as_str().map(str::to_owned)).collect();
        if recorded != serving {
            left.push(format!("{serving:?} answer, and {recorded:?} are in placements.json"));
        }
        Ok(left)
    }
}
