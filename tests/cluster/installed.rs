//! The planner in a pod, installed and taken away by the commands of the documentation: it comes up with no more rights than
//! its table says, is reached by the mesh alone, tries a move and makes it, and leaves the cluster as it was.
use foremesh::install::rights::{Asked, Need, Places, RIGHTS, Right, Used};
use foremesh_tests::{
    Cluster, Namespace, WorkloadSpec,
    cluster::{Installed, Load, NODES},
    until,
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

const SOON: Duration = Duration::from_secs(40);
const RATE: u64 = 100;
const LOAD_SECONDS: u64 = 230;
/// From the start of the load to the end of the move, with its trial.
const MOVED_WITHIN: Duration = Duration::from_secs(225);
/// Where the planner's volume is.
const HOME: &str = "node-3";
const SPACE: &str = "shop";
const PODS: &str = "app.kubernetes.io/name=foremesh";
const SETTINGS: &str = "step: 1s\nseason: 24s\nhorizon: 12s\ninterval: 1s\nlateness: 3s\n\
    planning: {requests_per_money: 100000.0, default_move_duration_ms: 10000}\n\
    rollout: {revalidateAfter: 2s, holdPerStep: 4s, settle: 4s, gateWait: 30s, drainQuiet: 2s, observationLag: 2500ms, \
    poll: 250ms, minSamples: 50}\nplatform: {kubernetes: {staging: {maxDuration: 1m, warmUp: 3s}}}\n";
const POLICY: &str = "apiVersion: foremesh.dev/v1alpha1\nkind: RelocationPolicy\nmetadata: {name: web}\nspec:\n  \
    selector: {services: [web.shop.svc.cluster.local]}\n  mode: auto\n  ramp: [25, 60, 100]\n  \
    trial: {requests: [{path: /}]}\n  rules:\n  \
    - {name: slow, predictedLatency: {quantile: 0.95, above: 500ms, within: 10s}}\n  \
    - {name: cheaper, costSaving: {atLeast: 1}}\n";
/// What users write into their own namespace.
const RESOURCES: &str = "apiVersion: foremesh.dev/v1alpha1\nkind: RelocationPolicy\nmetadata: {name: watched, namespace: shop}\n\
    spec:\n  selector: {services: [web]}\n  mode: observe\n  rules:\n  \
    - {name: slow, predictedLatency: {quantile: 0.99, above: 500ms, within: 10s}}\n---\n\
    apiVersion: foremesh.dev/v1alpha1\nkind: EventCalendar\nmetadata: {name: sales, namespace: shop}\nspec:\n  events:\n  \
    - {name: sale, when: {cron: '0 18 * * fri'}, duration: 2h}\n";
/// Conditions of rights that hold here.
const HAPPENS: [&str; 3] = [
    "there are such resources",
    "the pods of what moves read ConfigMaps",
    "the pods of what moves have an account of their own",
];
const PLACES: Places<'_> = Places { own: "foremesh", istiod: "istio-system", staging: "foremesh-staging" };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_installed_moves_with_its_own_rights_and_is_taken_away_without_a_trace() {
    let cluster = Cluster::shared().await;
    let mut planner = Installed::prepare(cluster, HOME, SETTINGS, POLICY).await;
    // Of other tests, whose planners are no pods.
    for other in [
        &["-n", "istio-system", "delete", "serviceaccount", "foremesh", "--ignore-not-found"][..],
        &["delete", "mutatingwebhookconfiguration", "foremesh-placement", "--ignore-not-found"],
    ] {
        cluster.kubectl(other).await.expect("it is gone");
    }
    let space = Namespace::meshed(cluster, SPACE).await;
    start_shop(&space).await;
    let (client, old) = (space.pod("app=client").await.name, space.pod("app=web").await);
    let before = cluster.dump().await.expect("a dump");
    provide_volume(cluster).await;

    planner.follow("Install the planner").await;
    let pod = cluster.get(&["-n", "foremesh", "pods", "-l", PODS]).await.expect("a pod");
    let address = pod["items"][0]["status"]["podIP"].as_str().expect("an address").to_owned();
    it_is_reached_by_the_mesh_alone(&planner, &space, &client, &address).await;
    resources_are_taken(&space).await;

    let options = ["--rate", &RATE.to_string(), "--seconds", &LOAD_SECONDS.to_string()];
    let mut load = Load::start(&space, &client, "http://web:8080/", &options, Duration::from_secs(280));
    for (node, _, _) in NODES {
        let cost = if node == old.node { 10 } else { 1 };
        let price = format!("foremesh.dev/cost-per-hour={cost}");
        cluster.kubectl(&["annotate", "--overwrite", "node", node, &price]).await.expect("it has a price");
    }
    let moved = until("something to move", MOVED_WITHIN, async || {
        let moving = cluster.get(&["-n", "foremesh", "configmap", "foremesh-moving"]).await?;
        let at_rest = moving["data"].as_object().is_none_or(serde_json::Map::is_empty);
        if at_rest { Err(planner.get("/api/v1/services").await?.to_string()) } else { Ok(moving) }
    })
    .await;
    let refused = planner.run("foremesh uninstall").await.expect_err("it moves");
    assert!(refused.contains("on the move: shop/web"), "{refused}; {moved}");
    let ended = until("the move to be over", MOVED_WITHIN, async || {
        let all = planner.get("/api/v1/relocations").await?;
        let all = all["relocations"].as_array().cloned().unwrap_or_default();
        // One of which nothing was done, because the plan was older than what was known a moment later, is made anew.
        let over = all.iter().find(|of| of["over"] == true && of["state"] != "Aborted");
        over.cloned().ok_or_else(|| format!("not yet: {all:#?}"))
    })
    .await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    let trial = ended["trial"].as_str().unwrap_or_default();
    assert!(trial.starts_with("passed: "), "{trial}");
    println!("the trial: {trial}");
    for change in ended["history"].as_array().into_iter().flatten() {
        println!("{} {} ► {}: {}", change["at"], change["from"], change["to"], change["why"]);
    }
    assert!(load.runs(), "the load ended before the move: {ended:#}");
    let result = load.finish().await;
    println!(
        "{} requests, {} failed, P99 {} ms",
        result["sent"], result["failed"], result["latency_ms"]["p99"]
    );
    assert_eq!(result["failed"], 0, "{:#}", result["failures"]);
    let new = space.pod("app=web").await;
    assert_ne!((&new.name, &new.node), (&old.name, &old.node), "{new:?}");

    what_became_of_it_is_shown(&space).await;
    its_history_outlives_its_pod(&mut planner, cluster).await;
    its_rights_are_what_it_uses(&planner);

    for (node, _, _) in NODES {
        cluster
            .kubectl(&["annotate", "node", node, "foremesh.dev/cost-per-hour-"])
            .await
            .expect("it had a price");
    }
    it_is_taken_away(&mut planner, &space).await;
    cluster
        .kubectl(&["delete", "persistentvolume/by-hand", "storageclass/by-hand"])
        .await
        .expect("it is gone");
    until("the cluster to be as it was", SOON, async || {
        let left = cluster.dump().await?.differences(&before);
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    })
    .await;
    let answer = space.call_from(&client, "http://web:8080/").await.expect("a call");
    assert_eq!(answer["status"], 200, "{answer}");
}

/// What users wrote stays, until they say that it may go.
async fn it_is_taken_away(planner: &mut Installed, space: &Namespace) {
    let said = planner.run("foremesh uninstall --dry-run").await.expect_err("there is something to delete");
    for stays in ["relocationpolicies", "eventcalendars"] {
        let stays = format!("{stays}.foremesh.dev stays, as 1 of its objects are there");
        assert!(said.contains(&stays), "{said}");
    }
    planner.follow("Take it away again").await;
    let kept =
        space.kubectl(&["get", "relpol,evcal", "-o", "name"]).await.expect("what users wrote is there");
    assert_eq!(kept.lines().count(), 2, "{kept}");
    println!("{}", planner.run("foremesh uninstall --crds").await.unwrap_or_else(|error| panic!("{error}")));
}

/// A service on a node of its own, which costs nothing when it is gone, without a rule that would keep it there; and a client.
async fn start_shop(space: &Namespace) {
    let cluster = space.cluster();
    for node in ["node-1", "node-3"] {
        cluster.kubectl(&["cordon", node]).await.expect("nothing comes to it");
    }
    space.start(&[WorkloadSpec::service("web")]).await;
    space.kubectl(&["create", "configmap", "web", "--from-literal=GREETING=hello"]).await.expect("a map");
    space.kubectl(&["set", "env", "deployment/web", "--from=configmap/web"]).await.expect("it reads it");
    space.kubectl(&["rollout", "status", "deployment/web", "--timeout=55s"]).await.expect("it is rolled out");
    for node in ["node-1", "node-3"] {
        cluster.kubectl(&["uncordon", node]).await.expect("it is as before");
    }
    space.start(&[WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") }]).await;
}

/// The definitions are there, and what users write is answered.
async fn resources_are_taken(space: &Namespace) {
    space.apply(RESOURCES).await;
    until("policy and calendar to be accepted", SOON, async || {
        let list = space.get(&["relpol,evcal"]).await?;
        let accepted = list["items"].as_array().into_iter().flatten().filter(|of| {
            of["status"]["conditions"][0]["type"] == "Accepted"
                && of["status"]["conditions"][0]["status"] == "True"
        });
        if accepted.count() == 2 { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
}

/// Sidecars report by mutual TLS; nobody else is heard, and they may only report.
async fn it_is_reached_by_the_mesh_alone(
    planner: &Installed,
    space: &Namespace,
    client: &str,
    address: &str,
) {
    let cluster = space.cluster();
    for path in ["/v1/summaries", "/api/v1/services"] {
        let answer = cluster.call(&format!("http://{address}:8700{path}")).await.expect("a call");
        assert!(answer["error"].is_string(), "plain text is answered: {answer}");
    }
    let module = cluster.call(&format!("http://{address}:8701/filter.wasm.sha256")).await.expect("a call");
    assert_eq!(module["status"], 200, "{module}");
    let other = cluster.call(&format!("http://{address}:8701/api/v1/services")).await.expect("a call");
    assert_eq!(other["status"], 403, "{other}");
    let api = "http://foremesh.foremesh:8700/api/v1/services";
    let answer = space.call_from(client, api).await.expect("a call");
    assert_eq!(answer["status"], 403, "whoever is in the mesh uses the API: {answer}");
    until("both sidecars to report", SOON, async || {
        space.call_from(client, "http://web:8080/").await?;
        let proxies = planner.get("/api/v1/proxies").await?;
        let of = |proxy: &Value| proxy["workload"].as_str().map(str::to_owned);
        let seen: BTreeSet<String> =
            proxies["proxies"].as_array().into_iter().flatten().filter_map(of).collect();
        if seen.contains("shop/web") && seen.contains("shop/client") {
            Ok(())
        } else {
            Err(proxies.to_string())
        }
    })
    .await;
}

/// A move for money is predicted nothing of, so its benefit cannot be known, and that is said where users look.
async fn what_became_of_it_is_shown(space: &Namespace) {
    let shown = until("the benefit to be shown", SOON, async || {
        let list = space.get(&["relocations"]).await?;
        let of = |object: &Value| object["status"]["benefit"].is_object();
        let found = list["items"].as_array().into_iter().flatten().find(|object| of(object)).cloned();
        found.ok_or_else(|| list.to_string())
    })
    .await;
    assert_eq!(shown["status"]["benefit"]["verdict"], "CannotBeKnown", "{shown:#}");
    let events = space.get(&["events"]).await.expect("events");
    let told =
        events["items"].as_array().into_iter().flatten().filter(|event| event["reason"] == "CannotBeKnown");
    assert_eq!(told.count(), 2, "one on the Relocation, one on the Deployment: {events:#}");
    println!("{}", space.kubectl(&["get", "relocations", "-o", "wide"]).await.expect("a list"));
}

/// The pod ends by itself when it is asked to, and the next one knows what was moved.
async fn its_history_outlives_its_pod(planner: &mut Installed, cluster: &Cluster) {
    let known = moves(planner).await;
    let began = tokio::time::Instant::now();
    let gone = ["-n", "foremesh", "delete", "pod", "-l", PODS, "--wait=true"];
    cluster.kubectl(&gone).await.expect("the pod goes");
    // Half of what it is given before it is killed.
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?} to end", began.elapsed());
    cluster
        .kubectl(&["-n", "foremesh", "rollout", "status", "deployment/foremesh", "--timeout=55s"])
        .await
        .expect("another one comes up");
    planner.reconnect().await;
    assert_eq!(moves(planner).await, known);
}

async fn moves(planner: &Installed) -> Vec<String> {
    let all = planner.get("/api/v1/relocations").await.unwrap_or_else(|error| panic!("{error}"));
    let all = all["relocations"].as_array().cloned().unwrap_or_default();
    assert!(!all.is_empty(), "something was moved");
    all.iter().map(|of| of["id"].to_string()).collect()
}

/// Nothing was refused, nothing was done that the table does not say, and all that it says was done.
fn its_rights_are_what_it_uses(planner: &Installed) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut asked = BTreeSet::new();
    for event in planner.asked() {
        let of = &event["objectRef"];
        assert_ne!(event["annotations"]["authorization.k8s.io/decision"], "forbid", "{event:#}");
        // What the API server tells everybody: its version, and the kinds that it serves.
        if of.is_null() {
            continue;
        }
        let resource = match of["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text(&of["resource"])),
            None => text(&of["resource"]),
        };
        asked.insert((
            text(&of["apiGroup"]),
            resource,
            text(&event["verb"]),
            text(&of["namespace"]),
            text(&of["name"]),
        ));
    }
    assert!(asked.len() > 20, "the audit log tells too little: {asked:?}");
    let asked: Vec<Asked<'_>> = asked
        .iter()
        .map(|(group, resource, verb, namespace, name)| Asked { group, resource, verb, namespace, name })
        .collect();
    for asked in &asked {
        let by = granted().find(|right| right.allows(asked, &PLACES));
        assert!(by.is_some(), "no right says {asked:?}");
    }
    let mut wrong = Vec::new();
    for right in granted() {
        for (resource, verb) in
            right.resources.iter().flat_map(|of| right.verbs.iter().map(move |verb| (of, verb)))
        {
            let used = asked.iter().any(|asked| {
                (asked.resource, asked.verb) == (*resource, *verb) && right.allows(asked, &PLACES)
            });
            let expected = match right.used {
                Used::Usually => true,
                Used::When(condition) => HAPPENS.contains(&condition),
            };
            if used != expected {
                let said = if used { "was used, although it says" } else { "was not used, although it says" };
                wrong.push(format!("{verb} {resource} of `{}` {said} {:?}", right.group, right.used));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} different requests, all by the table, and all of its usual rights were used", asked.len());
}

/// All but what has to be asked for by name.
fn granted() -> impl Iterator<Item = &'static Right> {
    RIGHTS.iter().filter(|right| right.need != Need::TrySecrets)
}

/// Makes the volume that a storage class would make, which the testbed has none of.
async fn provide_volume(cluster: &Cluster) {
    let folder = cluster.state().join("volume");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let class = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: by-hand, annotations: \
                 {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: kubernetes.io/no-provisioner}";
    let volume = format!(
        "{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: by-hand}}, spec: {{capacity: {{storage: 10Gi}}, \
           accessModes: [ReadWriteOnce], storageClassName: by-hand, local: {{path: '{}'}}, nodeAffinity: {{required: \
           {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{HOME}]}}]}}]}}}}}}}}",
        folder.display()
    );
    cluster.apply(&format!("{class}\n---\n{volume}\n")).await.unwrap_or_else(|error| panic!("{error}"));
}
