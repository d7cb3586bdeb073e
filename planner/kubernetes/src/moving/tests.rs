//! The list against an API server that is played.
use super::{played::Stored, *};
use serde_json::json;

const PATH: &str = "/api/v1/namespaces/foremesh-system/configmaps/foremesh-moving";

fn moved(workload: &str) -> Moved {
    Moved { scaler: Scaled::Hpa { name: "web".to_owned(), min_before: 2 }, ..played::moved(workload) }
}

fn list(server: &Stored) -> MovingList {
    MovingList::new(server.client(), "foremesh-system")
}

#[tokio::test]
async fn what_is_put_is_there_for_the_next_planner_until_it_is_removed() {
    let server = Stored::default();
    let (web, cart) = (moved("shop/web"), moved("shop/cart.v2"));
    assert_eq!(list(&server).all().await.unwrap(), BTreeMap::new());
    list(&server).remove(&web.workload).await.unwrap();
    assert_eq!(server.object(PATH), None, "nothing is made in order to remove nothing");

    list(&server).put(&web).await.unwrap();
    list(&server).put(&cart).await.unwrap();
    let ramping = Moved { target: Some(ReplicaId::new("web-3")), phase: MovedPhase::Ramping, ..web.clone() };
    list(&server).put(&ramping).await.unwrap();
    assert_eq!(list(&server).get(&web.workload).await.unwrap(), Some(ramping.clone()));
    let all = list(&server).all().await.unwrap();
    assert_eq!(all.into_values().collect::<Vec<_>>(), [cart.clone(), ramping]);

    list(&server).remove(&web.workload).await.unwrap();
    list(&server).remove(&web.workload).await.unwrap();
    assert_eq!(list(&server).get(&web.workload).await.unwrap(), None);
    assert_eq!(list(&server).get(&cart.workload).await.unwrap(), Some(cart));
}

/// The form is shared with planners of other versions.
#[tokio::test]
async fn the_stored_form_is_stable() {
    let server = Stored::default();
    list(&server).put(&moved("shop/web")).await.unwrap();
    let stored = server.object(PATH).unwrap();
    assert_eq!(stored["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "foremesh"}));
    let value: serde_json::Value =
        serde_json::from_str(stored["data"]["shop.web"].as_str().unwrap()).unwrap();
    assert_eq!(
        value,
        json!({
            "workload": "shop/web", "kind": "Deployment", "from": "node-1", "to": "node-2",
            "known": ["web-1", "web-2"], "replicas_before": 2,
            "scaler": {"kind": "hpa", "name": "web", "min_before": 2}, "target": null, "phase": "surging"
        })
    );
    let at_its_scale = serde_json::to_value(Scaled::Deployment).unwrap();
    assert_eq!(at_its_scale, json!({"kind": "deployment"}));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_another_one_overtook_is_tried_again() {
    let server = Stored::default();
    let web = moved("shop/web");
    // First somebody else makes the map, then changes it twice.
    server.interfere(3);
    list(&server).put(&web).await.unwrap();
    assert_eq!(list(&server).get(&web.workload).await.unwrap(), Some(web.clone()));
    server.interfere(1000);
    let error = list(&server).remove(&web.workload).await.unwrap_err().to_string();
    assert!(error.contains("another one wrote it before each of 8 attempts"), "{error}");
    server.interfere(0);
    assert_eq!(list(&server).get(&web.workload).await.unwrap(), Some(web));
}

#[tokio::test]
async fn what_is_stored_already_is_not_written_again() {
    let server = Stored::default();
    let web = moved("shop/web");
    list(&server).put(&web).await.unwrap();
    server.asked();
    list(&server).put(&web).await.unwrap();
    assert_eq!(server.asked(), [format!("GET {PATH}")]);
}

#[tokio::test(start_paused = true)]
async fn errors_say_what_to_do() {
    let server = Stored::default();
    let web = moved("shop/web");
    for (code, reason, remedy) in [
        (403, "Forbidden", "let the planner's account get configmaps in namespace foremesh-system"),
        (401, "Unauthorized", "give the planner credentials that the API server accepts"),
        (500, "InternalError", "check that the API server answers and can be reached from the planner"),
    ] {
        server.refuse(Some((code, reason)));
        let error = list(&server).put(&web).await.unwrap_err();
        assert_eq!(error.object, "ConfigMap foremesh-system/foremesh-moving");
        assert_eq!(error.remedy, remedy, "{code}");
        assert_eq!(list(&server).all().await.unwrap_err().remedy, remedy, "{code}");
    }
    server.refuse(None);
    server.silence();
    let error = list(&server).put(&web).await.unwrap_err();
    assert_eq!(error.problem, "writing it took more than 10 s");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_hides_no_other_workload_and_is_never_taken_for_nothing() {
    let server = Stored::default();
    let (web, cart) = (moved("shop/web"), moved("shop/cart"));
    list(&server).put(&web).await.unwrap();
    let mut map = server.object(PATH).unwrap();
    map["data"]["shop.cart"] = map["data"]["shop.web"].clone();
    server.store(PATH, map);
    let error = list(&server).all().await.unwrap_err().to_string();
    assert!(error.contains("key `shop.cart`") && error.contains("it is of workload `shop/web`"), "{error}");
    assert!(list(&server).get(&cart.workload).await.is_err());
    assert_eq!(list(&server).get(&web.workload).await.unwrap(), Some(web));
    // A human takes it away.
    list(&server).remove(&cart.workload).await.unwrap();
    assert_eq!(list(&server).all().await.unwrap().len(), 1);
}

#[test]
fn only_deployments_have_a_key() {
    for (workload, key) in [
        ("shop/web", Some("shop.web")),
        ("shop/web.v2", Some("shop.web.v2")),
        ("shop/statefulset/db", None),
        ("shop", None),
        ("/web", None),
        ("shop/", None),
    ] {
        assert_eq!(super::key(&WorkloadId::new(workload)).ok().as_deref(), key, "{workload}");
    }
    let long = WorkloadId::new(format!("{}/{}", "n".repeat(63), "d".repeat(190)));
    assert!(super::key(&long).is_err());
}
