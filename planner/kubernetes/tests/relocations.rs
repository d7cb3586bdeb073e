//! Relocations on a real API server: `KUBECONFIG=... cargo test -p foremesh-kubernetes --test relocations -- --ignored
//! --nocapture`, with `kubectl` on the PATH. It makes a namespace `lease-relocations` and deletes it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use foremesh_core::{
    ids::RolloutId,
    rollout::{Limits, Phase, RolloutRecord, Stage, State},
    time::Timestamp,
};
use foremesh_kubernetes::{
    ClusterSettings, client,
    resources::relocation::{
        Journal, JournalError, Keep, Projection, ProjectionError, Store, StoreError, definition,
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

const NAMESPACE: &str = "lease-relocations";

#[expect(clippy::disallowed_methods, reason = "a real server is asked in real time")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap())
}

fn kubectl(argv: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("kubectl");
    command.args(argv).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if ended.status.success() { Ok(text(ended.stdout)) } else { Err(text(ended.stderr)) }
}

fn shown(argv: &[&str]) -> String {
    let text = kubectl(argv, "").unwrap();
    println!("$ kubectl {}\n{text}", argv.join(" "));
    text
}

#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Inner>>);

/// Rollouts, and what they were asked to stop for.
type Inner = (BTreeMap<RolloutId, RolloutRecord>, Vec<String>);

#[async_trait]
impl Journal for Memory {
    async fn active(&self) -> Result<Vec<RolloutRecord>, JournalError> {
        let inner = self.0.lock().unwrap();
        Ok(inner.0.values().filter(|record| !record.state.is_last()).cloned().collect())
    }

    async fn get(&self, rollout: &RolloutId) -> Result<Option<RolloutRecord>, JournalError> {
        Ok(self.0.lock().unwrap().0.get(rollout).cloned())
    }

    async fn abort(&self, rollout: &RolloutId, why: &str) -> Result<(), JournalError> {
        self.0.lock().unwrap().1.push(format!("{rollout}: {why}"));
        Ok(())
    }
}

impl Memory {
    fn enter(&self, id: &str, to: State, why: &str) {
        let mut inner = self.0.lock().unwrap();
        let record = inner.0.get_mut(&RolloutId::from(id)).unwrap();
        *record = record.entered(to, why, &Limits::default(), now());
        if to.phase() == Phase::Ramping {
            record.target = Some("cart-2".into());
        }
    }

    fn accept(&self, id: &str) {
        let now = now().unix_ms();
        let record: RolloutRecord = serde_json::from_value(json!({
            "id": id, "plan": "plan-0a1b2c3d4e5f", "generation": 7, "after": null,
            "move": {
                "workload": format!("{NAMESPACE}/cart"), "service": "cart.shop.svc.cluster.local", "replica": "cart-1",
                "from": "node-1", "to": "node-2",
                "reason": {
                    "policy": "shop", "rule": "slow", "quantile": 0.99, "objective_ms": 50.0,
                    "breach_at": now + 600_000, "breach_probability": 0.876, "stay_ms": null, "move_ms": 20.4,
                    "model": "m", "lead_ms": 60000
                },
                "ramp_percent": [25, 50, 100]
            },
            "trial": {"trial": "waived", "by": "policy p", "reason": "no staging mesh", "at": now},
            "prediction": null, "target": null, "state": {"name": "pending"}, "entered_at": now,
            "deadline": now + 60_000, "attempt": 0, "history": []
        }))
        .unwrap();
        self.0.lock().unwrap().0.insert(record.id.clone(), record);
    }

    fn aborts(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

fn writes(before: &Value, after: &Value) -> bool {
    before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]
}

fn object(name: &str) -> Value {
    serde_json::from_str(&kubectl(&["-n", NAMESPACE, "get", "relocation", name, "-o", "json"], "").unwrap())
        .unwrap()
}

const FIRST: &str = "plan-0a1b2c3d4e5f.0";
const SECOND: &str = "plan-0a1b2c3d4e5f.1";
const THIRD: &str = "plan-0a1b2c3d4e5f.2";

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn a_rollout_is_seen_and_stopped_by_kubectl() {
    let client = client(&ClusterSettings::default()).await.unwrap();
    let store = Store::new(client, "lease-relocations", "planner-0");
    let mut projection = Projection::new(store, Keep { for_ms: 3_600_000, at_most: 50 });
    let memory = Memory::default();
    memory.accept(FIRST);
    if kubectl(&["get", "crd", "relocations.foremesh.dev"], "").is_err() {
        let missing = projection.look(&memory, now()).await.unwrap_err();
        assert!(matches!(missing, ProjectionError::Store(StoreError::Missing)), "{missing}");
        println!("without the definition: {missing}");
    }
    println!("{}", kubectl(&["apply", "-f", "-"], &definition().manifest().to_string()).unwrap());
    kubectl(&["wait", "--for=condition=Established", "crd/relocations.foremesh.dev", "--timeout=30s"], "")
        .unwrap();
    let _ = kubectl(&["delete", "namespace", NAMESPACE], "");
    kubectl(&["create", "namespace", NAMESPACE], "").unwrap();
    kubectl(&["-n", NAMESPACE, "create", "deployment", "cart", "--image=none", "--replicas=0"], "").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;

    it_is_seen(&mut projection, &memory).await;
    it_is_stopped(&mut projection, &memory).await;
    it_is_deleted(&mut projection, &memory).await;
    it_is_told();
    it_is_lost(&mut projection, &memory).await;
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"], "").unwrap();
}

async fn it_is_seen(projection: &mut Projection, memory: &Memory) {
    let states = [
        (State::Trial, "validated again: the plan still holds"),
        (State::Reserving, "the trial was waived by policy shop"),
        (State::Surging, "node node-2 is prepared"),
        (State::Ramping { step: 0 }, "the replica on node-2 is ready"),
        (State::Ramping { step: 1 }, "25 % passed"),
    ];
    projection.look(memory, now()).await.unwrap();
    for (state, why) in states {
        memory.enter(FIRST, state, why);
        projection.look(memory, now()).await.unwrap();
        let before = object(FIRST);
        assert_eq!(before["status"]["step"], state.to_string());
        projection.look(memory, now()).await.unwrap();
        assert!(!writes(&before, &object(FIRST)), "{state}: nothing is written when nothing changes");
    }
    shown(&["-n", NAMESPACE, "get", "relocations"]);
    shown(&["-n", NAMESPACE, "get", "reloc", "-o", "wide"]);
    shown(&["-n", NAMESPACE, "get", "foremesh"]);
}

async fn it_is_stopped(projection: &mut Projection, memory: &Memory) {
    let change = r#"{"spec":{"to":"node-3"}}"#;
    let refused = kubectl(&["-n", NAMESPACE, "patch", "reloc", FIRST, "--type", "merge", "-p", change], "");
    let refused = refused.unwrap_err();
    println!("{refused}");
    assert!(refused.contains("only `abort` can be changed"), "{refused}");
    let abort = |to: bool| {
        let patch = format!(r#"{{"spec":{{"abort":{to}}}}}"#);
        kubectl(&["-n", NAMESPACE, "patch", "relocation", FIRST, "--type", "merge", "-p", &patch], "")
    };
    abort(true).unwrap();
    projection.look(memory, now()).await.unwrap();
    projection.look(memory, now()).await.unwrap();
    assert_eq!(memory.aborts(), [format!("{FIRST}: `spec.abort` of Relocation {NAMESPACE}/{FIRST} was set")]);
    let refused = abort(false).unwrap_err();
    assert!(refused.contains("an abort cannot be taken back"), "{refused}");
    memory.enter(
        FIRST,
        State::RollingBack { from: Phase::Ramping, stage: Stage::Shift, aborted: true },
        "it was asked to stop",
    );
    projection.look(memory, now()).await.unwrap();
    memory.enter(FIRST, State::Aborted, "node-1 serves as before");
    projection.look(memory, now()).await.unwrap();
    let ended = object(FIRST);
    assert_eq!(ended["metadata"]["finalizers"], Value::Null);
    assert_eq!(ended["status"]["observedGeneration"], 2);
}

async fn it_is_deleted(projection: &mut Projection, memory: &Memory) {
    memory.accept(SECOND);
    memory.enter(SECOND, State::Surging, "node node-2 is prepared");
    projection.look(memory, now()).await.unwrap();
    kubectl(&["-n", NAMESPACE, "delete", "relocation", SECOND, "--wait=false"], "").unwrap();
    projection.look(memory, now()).await.unwrap();
    assert_eq!(memory.aborts()[1], format!("{SECOND}: Relocation {NAMESPACE}/{SECOND} is to be deleted"));
    shown(&["-n", NAMESPACE, "get", "relocations"]);
    memory.enter(SECOND, State::RolledBack, "node-1 serves as before");
    projection.look(memory, now()).await.unwrap();
    let gone = kubectl(&["-n", NAMESPACE, "get", "relocation", SECOND], "").unwrap_err();
    assert!(gone.contains("not found"), "{gone}");
    projection.look(memory, now()).await.unwrap();
}

fn it_is_told() {
    let events = shown(&["-n", NAMESPACE, "get", "events", "--sort-by=.metadata.name"]);
    assert_eq!(events.lines().count(), 1 + 2 * (7 + 2), "one for each change, on both objects");
    let described = shown(&["-n", NAMESPACE, "describe", "deployment", "cart"]);
    let of_deployment = described.split("Events:").nth(1).unwrap_or_default();
    assert!(of_deployment.contains("RollingBack") && of_deployment.contains("node-1 to node-2: 25 % passed"));
    shown(&["-n", NAMESPACE, "describe", "relocation", FIRST]);
    shown(&["-n", NAMESPACE, "delete", "relocation", FIRST]);
}

async fn it_is_lost(projection: &mut Projection, memory: &Memory) {
    // As after the loss of the journal.
    memory.accept(THIRD);
    projection.look(memory, now()).await.unwrap();
    projection.look(&Memory::default(), now()).await.unwrap();
    let lost = object(THIRD);
    assert_eq!((&lost["status"]["state"], &lost["metadata"]["finalizers"]), (&json!("Failed"), &Value::Null));
    shown(&["-n", NAMESPACE, "get", "relocations", "-o", "wide"]);
}
