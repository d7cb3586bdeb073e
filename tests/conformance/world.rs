//! What a scenario needs of a platform.
use foremesh_core::plan::Traffic;
use foremesh_tests::{
    hand_over::{Files, Goes, hand_over},
    until,
};
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// Any change of a rollout, on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
/// How long nobody drives a rollout whose planner was killed.
const DOWN: Duration = Duration::from_millis(800);
/// Load before a plan is handed over: the past of the source, which the target is compared with.
const WARM: Duration = Duration::from_secs(4);

/// Requests a second of a load where nothing else is said.
pub(crate) const RATE: u32 = 200;

/// The three nodes of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the service runs.
    Home,
    /// Where it goes.
    Target,
    /// Neither.
    Spare,
}

/// What became of the requests of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    /// Failed ones of each second, to tell an outage that is over from one that lasts.
    pub(crate) failed_by_second: Vec<u64>,
    /// How the first ones failed.
    pub(crate) failures: Vec<String>,
}

impl Requests {
    /// Of a load in a testbed.
    pub(crate) fn of_seconds(seconds: &[Value]) -> Self {
        let number = |second: &Value, name: &str| second[name].as_u64().unwrap_or_default();
        let failed: Vec<u64> = seconds.iter().map(|second| number(second, "failed")).collect();
        let bad = seconds.iter().filter(|second| number(second, "failed") > 0).take(5);
        Self {
            sent: seconds.iter().map(|second| number(second, "offered")).sum(),
            failed: failed.iter().sum(),
            failures: bad
                .map(|second| format!("second {}: {} failed", second["second"], second["failed"]))
                .collect(),
            failed_by_second: failed,
        }
    }
}

/// A mesh of one platform with a service on some of its nodes, a planner and a load.
#[allow(async_fn_in_trait, reason = "nothing of a scenario is sent to another thread")]
pub(crate) trait World: Sized {
    /// Name of the platform, as the table has it.
    const PLATFORM: &'static str;
    /// Whether replicas can keep different shares of the traffic for good.
    const KEEPS_WEIGHTS: bool;
    /// The planner's policy, which moves nothing unless somebody approves it; its rule is `slow-soon`.
    const POLICY: &'static str;
    /// Promised P95 in milliseconds: what a spoiled replica misses by far.
    const OBJECTIVE_MS: u32;

    /// The service with one ready replica on each of these nodes; neither planner nor load runs.
    async fn begin(homes: &[Place]) -> Self;

    /// Name of a node.
    fn node(&self, place: Place) -> &str;

    /// What is moved, and the service that it answers for.
    fn names(&self) -> (&str, &str);

    /// The replica on a node, by the name that the planner gives it.
    async fn replica_on(&self, place: Place) -> String;

    /// Files of the planner.
    fn files(&self) -> &Files;

    /// Starts the planner on its files and waits until it answers.
    async fn start_planner(&mut self);

    /// SIGKILL.
    async fn kill_planner(&mut self);

    /// What a path of the API answers.
    async fn get(&self, path: &str) -> Result<Value, String>;

    /// Sends JSON to a path of the API; the error is the problem that it answers with.
    async fn post(&self, path: &str, body: &Value) -> Result<Value, String>;

    /// Begins an open load of so many requests a second through the proxies.
    async fn start_load(&mut self, rate: u32);

    /// Ends it, when all of its requests are answered.
    async fn end_load(&mut self) -> Requests;

    /// The replica on a node answers far too late from now on.
    async fn spoil(&mut self, place: Place);

    /// The replica on a node dies, and what it was about to answer with it.
    async fn crash(&mut self, place: Place);

    /// Somebody changes what is being moved, in the way that people do it on this platform; in words.
    async fn interfere(&mut self) -> String;

    /// A workload that is there and cannot be moved, and a part of the reason.
    fn stuck(&self) -> (&str, &str);

    /// Nodes with a replica that answers, in the order of [`Place`].
    async fn serving(&self) -> Vec<Place>;

    /// What is there that only a move needs.
    async fn left_behind(&self) -> Result<Vec<String>, String>;

    /// Starts planner and load, and hands a plan over, as a planner that was killed before it did anything for it has it.
    async fn taken_up(&mut self, from: Place, to: Place, traffic: Traffic, shift: bool) -> String {
        self.taken_up_under(RATE, from, to, traffic, shift).await
    }

    /// The same under a load of so many requests a second.
    async fn taken_up_under(
        &mut self,
        rate: u32,
        from: Place,
        to: Place,
        traffic: Traffic,
        shift: bool,
    ) -> String {
        self.start_planner().await;
        self.start_load(rate).await;
        tokio::time::sleep(WARM).await;
        self.kill_planner().await;
        let replica = self.replica_on(from).await;
        let other = if shift { Some(self.replica_on(to).await) } else { None };
        let (workload, service) = self.names();
        let goes = Goes {
            plan: "plan-by-hand",
            generation: 1,
            workload,
            service,
            replica: &replica,
            from: self.node(from),
            to: self.node(to),
            traffic,
            shift_to: other,
            policy: Self::POLICY,
            objective_ms: Self::OBJECTIVE_MS,
        };
        let id = hand_over(self.files(), &goes).await.to_string();
        self.start_planner().await;
        id
    }

    /// Takes back a relocation that succeeded; gives the one that does it.
    async fn taken_back(&self, id: &str) -> String {
        let asked = json!({"by": "ops@example.com", "reason": "the disk of that node is slow"});
        let begun = until("the way back to begin", WITHIN, async || {
            self.post(&format!("/api/v1/relocations/{id}/undo"), &asked).await
        })
        .await;
        begun["relocations"][0].as_str().expect("a relocation has begun").to_owned()
    }

    /// Lets states last no longer than they must: what acts in their middle needs time there, and many moves do not.
    fn make_brisk(&self) {
        let file = &self.files().settings;
        let text = fs::read_to_string(file).expect("the settings can be read");
        let mut settings: Value = yaml_serde::from_str(&text).expect("the settings are YAML");
        let rollout = settings["rollout"].as_object_mut().expect("they say how moves go");
        rollout.remove("dwell");
        for wait in ["holdPerStep", "settle"] {
            rollout.insert(wait.to_owned(), json!("3s"));
        }
        fs::write(file, format!("{settings:#}\n")).expect("the settings can be written");
    }

    /// Waits until a relocation is in a state.
    async fn reaches(&self, id: &str, state: &str) {
        until(&format!("the relocation to be {state}"), WITHIN, async || {
            let seen = self.get(&format!("/api/v1/relocations/{id}")).await?;
            if seen["state"] == state {
                return Ok(());
            }
            assert_ne!(seen["over"], true, "it ended before it was {state}: {seen:#}");
            Err(format!("it is {}", seen["state"]))
        })
        .await;
    }

    /// Waits until a relocation is over, and gives it.
    async fn ends(&self, id: &str) -> Value {
        until(&format!("relocation {id} to be over"), WITHIN, async || {
            let seen = self.get(&format!("/api/v1/relocations/{id}")).await?;
            if seen["over"] == true {
                Ok(seen)
            } else {
                Err(format!("it is {}: {}", seen["state"], seen["why"]))
            }
        })
        .await
    }

    /// Kills the planner in a state, and starts it again a moment later.
    async fn kill_in(&mut self, id: &str, state: &str) {
        self.reaches(id, state).await;
        self.kill_planner().await;
        tokio::time::sleep(DOWN).await;
        self.start_planner().await;
    }

    /// Waits until these nodes serve, no other does, and nothing of a move is left.
    async fn rests_on(&self, places: &[Place]) {
        until(&format!("the service to rest on {places:?}"), WITHIN, async || {
            let (serving, left) = (self.serving().await, self.left_behind().await?);
            if serving == places && left.is_empty() {
                return Ok(());
            }
            Err(format!("it is served from {serving:?}, and left are {left:?}"))
        })
        .await;
    }
}
