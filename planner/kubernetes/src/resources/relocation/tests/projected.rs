//! A journal in memory, and an API server that is played.
use super::{super::*, FORTH, after, at, back};
use crate::moving::played::Stored;
use async_trait::async_trait;
use foremesh_core::{
    ids::RolloutId,
    rollout::{RolloutRecord, Stage, State},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

const PATH: &str = "/apis/foremesh.dev/v1alpha1/namespaces/shop/relocations/r.0";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/cart";

#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<RolloutId, RolloutRecord>,
    aborts: Vec<String>,
}

impl Memory {
    fn has(&self, record: RolloutRecord) {
        self.0.lock().unwrap().records.insert(record.id.clone(), record);
    }

    fn aborts(&self) -> Vec<String> {
        self.0.lock().unwrap().aborts.clone()
    }
}

#[async_trait]
impl Journal for Memory {
    async fn active(&self) -> Result<Vec<RolloutRecord>, JournalError> {
        let inner = self.0.lock().unwrap();
        Ok(inner.records.values().filter(|record| !record.state.is_last()).cloned().collect())
    }

    async fn get(&self, rollout: &RolloutId) -> Result<Option<RolloutRecord>, JournalError> {
        Ok(self.0.lock().unwrap().records.get(rollout).cloned())
    }

    async fn abort(&self, rollout: &RolloutId, why: &str) -> Result<(), JournalError> {
        self.0.lock().unwrap().aborts.push(format!("{rollout}: {why}"));
        Ok(())
    }
}

/// A server with one resource of another time, so that its list is not taken for a kind that is missing.
fn server() -> Stored {
    let server = Stored::default();
    server.store(
        "/apis/foremesh.dev/v1alpha1/namespaces/other/relocations/past",
        json!({
            "apiVersion": "foremesh.dev/v1alpha1", "kind": "Relocation",
            "metadata": {"namespace": "other", "name": "past"}, "spec": {},
            "status": {"state": "Succeeded", "since": "2023-11-14T22:13:20Z"}
        }),
    );
    server.store(
        DEPLOYMENT,
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
        "namespace": "shop", "name": "cart", "uid": "uid-d"}}),
    );
    server
}

fn projection(server: &Stored) -> Projection {
    let store = Store::new(server.client(), "foremesh", "planner-0");
    Projection::new(store, Keep { for_ms: 3_600_000, at_most: 50 })
}

fn status(server: &Stored) -> Value {
    server.object(PATH).unwrap()["status"].clone()
}

fn event(server: &Stored, name: &str) -> Option<Value> {
    server.object(&format!("/apis/events.k8s.io/v1/namespaces/shop/events/{name}"))
}

#[tokio::test]
async fn a_rollout_is_shown_from_its_first_state_to_its_last() {
    let (server, memory) = (server(), Memory::default());
    let mut projection = projection(&server);
    for count in 0..=FORTH.len() {
        let record = after("r.0", &FORTH[..count]);
        memory.has(record.clone());
        projection.look(&memory, at(200)).await.unwrap();
        assert_eq!(status(&server)["step"], record.state.to_string());
        server.asked();
        projection.look(&memory, at(200)).await.unwrap();
        let writes: Vec<_> = server.asked().into_iter().filter(|asked| !asked.starts_with("GET")).collect();
        assert_eq!(writes, [""; 0], "after {count} changes it says what it should");
    }
    let object = server.object(PATH).unwrap();
    assert_eq!(object["metadata"]["finalizers"], json!([]), "it may be deleted at once");
    assert_eq!(object["spec"]["workload"], "cart");
    for number in 0..FORTH.len() {
        assert!(event(&server, &format!("r.0.{number}")).is_some(), "{number}");
        assert!(event(&server, &format!("cart.r.0.{number}")).is_some(), "{number}");
    }
    server.remove(PATH);
    projection.look(&memory, at(200)).await.unwrap();
    assert!(server.object(PATH).is_none(), "what was over and deleted does not come back");
}

#[tokio::test]
async fn one_that_was_deleted_by_force_comes_back_while_it_goes_on() {
    let (server, memory) = (server(), Memory::default());
    let mut projection = projection(&server);
    memory.has(after("r.0", &FORTH[..4]));
    projection.look(&memory, at(50)).await.unwrap();
    server.remove(PATH);
    // It also ends meanwhile; its end is shown all the same.
    memory.has(after("r.0", &FORTH));
    projection.look(&memory, at(200)).await.unwrap();
    assert_eq!(status(&server)["state"], "Succeeded");
}

#[tokio::test]
async fn deleting_and_patching_ask_once_to_turn_back() {
    for deleting in [false, true] {
        let (server, memory) = (server(), Memory::default());
        let mut projection = projection(&server);
        memory.has(after("r.0", &FORTH[..4]));
        projection.look(&memory, at(50)).await.unwrap();
        let mut object = server.object(PATH).unwrap();
        if deleting {
            object["metadata"]["deletionTimestamp"] = json!("2023-11-14T22:13:20Z");
        } else {
            object["spec"]["abort"] = json!(true);
        }
        server.store(PATH, object);
        for _ in 0..3 {
            projection.look(&memory, at(60)).await.unwrap();
        }
        let why = if deleting {
            "r.0: Relocation shop/r.0 is to be deleted"
        } else {
            "r.0: `spec.abort` of Relocation shop/r.0 was set"
        };
        assert_eq!(memory.aborts(), [why]);
        memory.has(after("r.0", &[State::Surging, back(Stage::Shift)]));
        projection.look(&memory, at(70)).await.unwrap();
        assert_eq!(status(&server)["state"], "RollingBack", "it stays until it has turned back");
        memory.has(after("r.0", &[State::Surging, back(Stage::Shift), State::Aborted]));
        projection.look(&memory, at(80)).await.unwrap();
        assert_eq!(server.object(PATH).is_none(), deleting);
        projection.look(&memory, at(90)).await.unwrap();
        assert_eq!(server.object(PATH).is_none(), deleting, "it does not come back");
        assert!(event(&server, "r.0.2").is_some(), "the end was told before it went");
    }
}

#[tokio::test]
async fn what_a_lost_journal_left_is_marked_and_let_go() {
    let (server, memory) = (server(), Memory::default());
    memory.has(after("r.0", &FORTH[..4]));
    projection(&server).look(&memory, at(50)).await.unwrap();
    projection(&server).look(&Memory::default(), at(60)).await.unwrap();
    assert_eq!(status(&server)["state"], "Failed");
    assert_eq!(server.object(PATH).unwrap()["metadata"]["finalizers"], json!([]));
    server.asked();
    projection(&server).look(&Memory::default(), at(70)).await.unwrap();
    assert!(server.asked().iter().all(|asked| asked.starts_with("GET")), "it is said once");
    // The planner whose rollout it was leads again, and has seen that it was taken back.
    memory.has(after("r.0", &[&FORTH[..4], &[State::Aborted]].concat()));
    projection(&server).look(&memory, at(80)).await.unwrap();
    assert_eq!(status(&server)["state"], "Aborted");
    assert!(event(&server, "r.0.4").is_some());
}

#[tokio::test]
async fn what_fails_is_made_up_for() {
    let (server, memory) = (server(), Memory::default());
    let mut projection = projection(&server);
    memory.has(after("r.0", &FORTH[..4]));
    for (code, reason, says) in [
        (
            404,
            "NotFound",
            "the cluster has no Relocations; apply what `foremesh crds` prints to see moves there",
        ),
        (403, "Forbidden", "let the planner's account list relocations in all namespaces"),
    ] {
        server.refuse(Some((code, reason)));
        let error = projection.look(&memory, at(50)).await.unwrap_err().to_string();
        assert!(error.ends_with(says), "{error}");
        assert!(server.object(PATH).is_none());
    }
    server.refuse(None);
    projection.look(&memory, at(50)).await.unwrap();
    assert_eq!(status(&server)["step"], "Ramping(0)");
    // Somebody writes between the look and the write; a status is ours alone and is written all the same.
    memory.has(after("r.0", &FORTH));
    server.interfere(20);
    let ended = projection.look(&memory, at(200)).await;
    assert!(matches!(ended, Err(ProjectionError::Store(StoreError::Overtaken(_)))), "{ended:?}");
    assert_eq!(status(&server)["state"], "Succeeded");
    server.interfere(0);
    projection.look(&memory, at(200)).await.unwrap();
    assert_eq!(server.object(PATH).unwrap()["metadata"]["finalizers"], json!([]));
}

#[test]
fn the_definition_has_what_people_see() {
    let manifest = definition().manifest();
    let version = &manifest["spec"]["versions"][0];
    let columns: Vec<_> = version["additionalPrinterColumns"].as_array().unwrap().iter().collect();
    let shown: Vec<_> =
        columns.iter().filter(|of| of["priority"].is_null()).map(|of| of["name"].as_str().unwrap()).collect();
    assert_eq!(shown, ["Workload", "From", "To", "State", "Traffic", "Why", "Age"]);
    assert_eq!(manifest["spec"]["names"]["shortNames"], json!(["reloc"]));
    assert_eq!(manifest["spec"]["names"]["categories"], json!(["foremesh"]));
    let schema = &version["schema"]["openAPIV3Schema"]["properties"];
    assert_eq!(schema["spec"]["x-kubernetes-validations"].as_array().unwrap().len(), 2);
    let rule = schema["spec"]["x-kubernetes-validations"][0]["rule"].as_str().unwrap();
    for field in schema["spec"]["properties"].as_object().unwrap().keys().filter(|field| *field != "abort") {
        assert!(rule.contains(&format!("self.{field} == oldSelf.{field}")), "{field} could be changed");
    }
}
