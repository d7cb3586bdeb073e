//! What a real dockerd (20.10.24) has said, and small changes of it.
use super::*;
use foremesh_core::{
    topology::{NodeState, Operator, Tier, TopologyKey},
    units::Millicores,
};
use serde_json::Value;

struct Recorded {
    nodes: Value,
    services: Value,
    tasks: Value,
    networks: Value,
}

fn recorded() -> Recorded {
    let read = |text: &str| serde_json::from_str(text).unwrap();
    Recorded {
        nodes: read(include_str!("recorded/nodes.json")),
        services: read(include_str!("recorded/services.json")),
        tasks: read(include_str!("recorded/tasks.json")),
        networks: read(include_str!("recorded/networks.json")),
    }
}

impl Recorded {
    fn objects(&self) -> Objects {
        // As text, because a spec is one.
        let text = |value: &Value| value.to_string();
        Objects {
            nodes: serde_json::from_str(&text(&self.nodes)).unwrap(),
            services: serde_json::from_str(&text(&self.services)).unwrap(),
            tasks: serde_json::from_str(&text(&self.tasks)).unwrap(),
            networks: serde_json::from_str(&text(&self.networks)).unwrap(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        snapshot(&self.objects(), Timestamp::from_unix_ms(1))
    }

    fn web(&mut self) -> &mut Value {
        self.services.as_array_mut().unwrap().iter_mut().find(|of| of["Spec"]["Name"] == "shop_web").unwrap()
    }

    fn web_tasks(&mut self) -> Vec<&mut Value> {
        self.tasks.as_array_mut().unwrap().iter_mut().filter(|task| task["Slot"].is_number()).collect()
    }
}

fn names(workload: &foremesh_core::topology::Workload) -> Vec<String> {
    workload
        .replicas
        .iter()
        .map(|(id, of)| format!("{id} {}", if of.ready { "ready" } else { "not" }))
        .collect()
}

#[test]
fn a_swarm_is_a_snapshot() {
    let snapshot = recorded().snapshot();
    let nodes: Vec<_> = snapshot.nodes.keys().map(NodeId::as_str).collect();
    assert_eq!(nodes, ["node-1", "node-2", "node-3", "node-4"]);
    let node = &snapshot.nodes[&NodeId::from("node-4")];
    assert_eq!(Some(node.capacity), Millicores::new(2000.0).ok());
    assert_eq!(node.memory_bytes, Some(25_276_502_016.0));
    assert_eq!(node.zone.as_ref().unwrap().as_str(), "zone-b");
    assert_eq!((node.state.clone(), node.used), (NodeState::Ready, None));
    let of = |key: &str| node.labels.get(key).map(String::as_str);
    assert_eq!(of("node.platform.arch"), Some("amd64"));
    assert_eq!(of("node.role"), Some("worker"));
    let web = &snapshot.workloads[&WorkloadId::from("shop_web")];
    assert_eq!(names(web), ["shop_web.1@node-4 ready", "shop_web.2@node-2 ready"]);
    assert_eq!(
        (web.pinned.as_deref(), web.tier, web.namespace.as_deref()),
        (None, Tier::Critical, Some("shop"))
    );
    assert_eq!(web.requests.cpu_millicores, Some(100.0));
    assert_eq!(web.requests.memory_bytes, Some(10_000_000.0));
    assert_eq!(web.cpu_limit, Millicores::new(500.0).ok());
    assert_eq!(web.scheduling.max_per_node, Some(1));
    assert_eq!(web.scheduling.host_ports, [9090].into());
    assert_eq!(web.scheduling.apart, [TopologyKey::Node].into());
    assert_eq!(web.scheduling.changing, None);
    let [requirement] = web.scheduling.requires.as_slice() else { panic!("{:?}", web.scheduling) };
    assert_eq!((requirement.key.as_str(), requirement.operator), ("node.labels.disk", Operator::NotIn));
    let agent = &snapshot.workloads[&WorkloadId::from("agent")];
    assert_eq!(agent.replicas.len(), 4);
    assert!(agent.replicas.contains_key(&ReplicaId::from("agent@node-1")));
    assert!(agent.pinned.as_ref().unwrap().contains("mode global"));
    let objects = recorded().objects();
    let task = objects.tasks.iter().find(|task| task.slot == 1).unwrap();
    let network = objects.networks.iter().find(|network| network.name == "shop").unwrap();
    assert_eq!(address(task, &network.id, 8080), Some("10.0.1.6:8080".parse().unwrap()));
    assert_eq!(address(task, "other", 8080), None);
}

#[test]
fn what_is_not_moved_says_why() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 19] = [
        ("it has no label foremesh.dev/port", |web| {
            web["Spec"]["Labels"].as_object_mut().unwrap().remove("foremesh.dev/port");
        }),
        ("`http`, which is no port", |web| web["Spec"]["Labels"]["foremesh.dev/port"] = "http".into()),
        ("`gold`; write", |web| web["Spec"]["Labels"]["foremesh.dev/tier"] = "gold".into()),
        ("quarter's end", |web| web["Spec"]["Labels"]["foremesh.dev/do-not-move"] = "quarter's end".into()),
        ("mode global", |web| web["Spec"]["Mode"] = serde_json::json!({"Global": {}})),
        ("it is a job", |web| {
            web["Spec"]["Mode"] = serde_json::json!({"ReplicatedJob": {"MaxConcurrent": 1}});
        }),
        ("nothing tells when a new task can have traffic", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = Value::Null;
        }),
        ("switched off (NONE)", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"]["Healthcheck"]["Test"] = serde_json::json!(["NONE"]);
        }),
        ("it mounts volume `data` at /data", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"] =
                serde_json::json!([{"Type": "volume", "Source": "data", "Target": "/data"}]);
        }),
        ("it mounts bind `/srv` at /srv", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"] = serde_json::json!([{"Type": "tmpfs", "Target": "/tmp"}, {"Type": "bind", "Source": "/srv", "Target": "/srv"}]);
        }),
        (".Task.Slot", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = serde_json::json!(["ID={{.Task.Slot}}"]);
        }),
        ("in no overlay network", |web| web["Spec"]["TaskTemplate"]["Networks"] = Value::Null),
        ("none of its overlay networks; they are `shop`", |web| {
            web["Spec"]["Labels"]["foremesh.dev/network"] = "back".into();
        }),
        ("generic resources", |web| {
            web["Spec"]["TaskTemplate"]["Resources"]["Reservations"]["GenericResources"] =
                serde_json::json!([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]);
        }),
        ("does not know what the constraint `node.ip==10.0.0.1`", |web| {
            web["Spec"]["TaskTemplate"]["Placement"]["Constraints"] =
                serde_json::json!(["node.ip==10.0.0.1"]);
        }),
        ("no node has a platform", |web| {
            web["Spec"]["TaskTemplate"]["Placement"]["Platforms"] =
                serde_json::json!([{"Architecture": "s390x", "OS": "linux"}]);
        }),
        ("its update is paused (task failed)", |web| {
            web["UpdateStatus"] = serde_json::json!({"State": "paused", "Message": "task failed"});
        }),
        ("no containers", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"] = Value::Null;
        }),
        ("its container's description is not understood", |web| {
            web["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"] = "all".into();
        }),
    ];
    for (expected, change) in cases {
        let mut recorded = recorded();
        change(recorded.web());
        let snapshot = recorded.snapshot();
        let pinned = snapshot.workloads[&WorkloadId::from("shop_web")].pinned.clone().unwrap_or_default();
        assert!(pinned.contains(expected), "{expected}: {pinned}");
    }
}

#[test]
fn what_is_said_to_be_fine_is_moved() {
    let mut recorded = recorded();
    let web = recorded.web();
    web["Spec"]["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = Value::Null;
    web["Spec"]["Labels"]["foremesh.dev/healthcheck"] = "image".into();
    web["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"] =
        serde_json::json!([{"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": true}]);
    web["Spec"]["Labels"]["foremesh.dev/local-mounts"] = "same-everywhere".into();
    web["Spec"]["Labels"]["foremesh.dev/network"] = "shop".into();
    web["Spec"]["TaskTemplate"]["Placement"]["Constraints"] =
        serde_json::json!(["Node.Role == Worker", "node.labels.Disk!=SSD", "engine.labels.gpu==A"]);
    web["Spec"]["TaskTemplate"]["Placement"]["Platforms"] =
        serde_json::json!([{"Architecture": "amd64", "OS": "linux"}, {"OS": "windows"}]);
    recorded.nodes[0]["Spec"]["Labels"]["foremesh.dev/cpu"] = "800m".into();
    recorded.nodes[0]["Spec"]["Labels"]["foremesh.dev/cost-per-hour"] = "0.25".into();
    recorded.nodes[0]["Spec"]["Labels"]["Disk"] = "ssd".into();
    let snapshot = recorded.snapshot();
    let web = &snapshot.workloads[&WorkloadId::from("shop_web")];
    assert_eq!(web.pinned, None);
    assert_eq!(web.allowed_nodes.len(), 4);
    let name = recorded.nodes[0]["Description"]["Hostname"].as_str().unwrap();
    let node = &snapshot.nodes[&NodeId::from(name)];
    assert_eq!(
        (Some(node.capacity), node.cost_per_hour.to_string().as_str()),
        (Millicores::new(800.0).ok(), "0.25")
    );
    let holds = |key: &str| {
        let requirement = web.scheduling.requires.iter().find(|of| of.key == key).unwrap();
        requirement.holds(node.labels.get(key))
    };
    assert!(!holds("node.labels.Disk"), "cases of values are not told apart");
    assert!(!holds("engine.labels.gpu"));
    assert_eq!(holds("node.role"), recorded.nodes[0]["Spec"]["Role"] == "worker");
}

#[test]
fn what_is_under_way_is_seen() {
    let changing = |change: fn(&mut Recorded)| {
        let mut recorded = recorded();
        change(&mut recorded);
        let web = recorded.snapshot().workloads[&WorkloadId::from("shop_web")].clone();
        (web.scheduling.changing.clone(), names(&web))
    };
    let (what, _) = changing(|of| {
        of.web()["UpdateStatus"] = serde_json::json!({"State": "updating", "Message": "in progress"});
    });
    assert_eq!(what.as_deref(), Some("update updating: in progress"));
    let (what, _) = changing(|of| of.web()["UpdateStatus"] = serde_json::json!({"State": "completed"}));
    assert_eq!(what, None);
    let (what, replicas) = changing(|of| of.web_tasks()[0]["NodeID"] = "".into());
    assert_eq!(what.as_deref(), Some("2 tasks are wanted, and 1 have a node"));
    assert_eq!(replicas.len(), 1);
    let (_, replicas) = changing(|of| of.web_tasks()[0]["Status"]["State"] = "starting".into());
    assert!(replicas.contains(&"shop_web.1@node-4 not".to_owned()), "{replicas:?}");
    let (_, replicas) = changing(|of| {
        for node in of.nodes.as_array_mut().unwrap() {
            node["Status"]["State"] = "down".into();
        }
    });
    assert_eq!(replicas, ["shop_web.1@node-4 not", "shop_web.2@node-2 not"]);
}

#[test]
fn nodes_are_ready_cordoned_or_unreachable() {
    let mut recorded = recorded();
    recorded.nodes[0]["Spec"]["Availability"] = "drain".into();
    recorded.nodes[1]["Spec"]["Availability"] = "pause".into();
    recorded.nodes[2]["Status"] = serde_json::json!({"State": "down", "Message": "heartbeat failure"});
    recorded.nodes[3]["Description"]["Hostname"] = recorded.nodes[2]["Description"]["Hostname"].clone();
    let objects = recorded.objects();
    let snapshot = recorded.snapshot();
    let names = Names::of(&objects.nodes);
    let state = |index: usize| snapshot.nodes[&names.name(&objects.nodes[index].id)].state.clone();
    assert_eq!((state(0), state(1)), (NodeState::Cordoned, NodeState::Cordoned));
    assert_eq!(state(2), NodeState::Unreachable("Swarm says that it is down: heartbeat failure".to_owned()));
    // Two of the same name go by their ids.
    assert_eq!(names.name(&objects.nodes[3].id).as_str(), objects.nodes[3].id);
    assert_eq!(names.id(&NodeId::from(objects.nodes[2].id.as_str())), Some(objects.nodes[2].id.as_str()));
    assert_eq!(snapshot.nodes.len(), 4);
}

#[test]
fn tasks_of_one_node_cannot_be_told_apart() {
    let mut recorded = recorded();
    let node = recorded.web_tasks()[0]["NodeID"].clone();
    recorded.web_tasks()[1]["NodeID"] = node;
    let web = recorded.snapshot().workloads[&WorkloadId::from("shop_web")].clone();
    assert!(web.pinned.unwrap().starts_with("2 of its tasks are on node node-4"));
}

#[test]
fn a_surge_service_stands_for_a_replica() {
    let mut recorded = recorded();
    let web = recorded.web().clone();
    let text = web["Spec"].to_string();
    let objects = recorded.objects();
    let target = objects.nodes.iter().find(|node| node.description.hostname == "node-1").unwrap().id.clone();
    let moving = crate::surge::Moving { slot: 2, from: "x", to: &target };
    let spec = crate::spec::Spec::new(text).unwrap();
    let id = web["ID"].as_str().unwrap();
    let spec = crate::surge::surge_spec(id, "shop_web", &spec, moving).unwrap();
    let surge = serde_json::json!({"ID": "s", "Version": {"Index": 1}, "Spec": serde_json::from_str::<Value>(spec.as_str()).unwrap()});
    recorded.services.as_array_mut().unwrap().push(surge);
    let mut task = recorded.web_tasks()[0].clone();
    task["ServiceID"] = "s".into();
    task["Slot"] = 1.into();
    task["NodeID"] = target.into();
    recorded.tasks.as_array_mut().unwrap().push(task);
    let snapshot = recorded.snapshot();
    assert_eq!(snapshot.workloads.len(), 2, "it is no workload of its own");
    let web = &snapshot.workloads[&WorkloadId::from("shop_web")];
    assert_eq!(names(web), ["shop_web.1@node-4 ready", "shop_web.2@node-1 ready", "shop_web.2@node-2 ready"]);
}

#[test]
fn names_of_replicas_are_read_back() {
    let node = NodeId::from("node-2");
    let name = replica_id("shop_web", 3, &node);
    assert_eq!(name.as_str(), "shop_web.3@node-2");
    assert_eq!(replica_parts("shop_web", &name), Some((3, node)));
    for other in ["shop_web2.3@node-2", "shop_web@node-2", "shop_web.x@node-2", "10.0.0.1:80"] {
        assert_eq!(replica_parts("shop_web", &ReplicaId::from(other)), None, "{other}");
    }
}
