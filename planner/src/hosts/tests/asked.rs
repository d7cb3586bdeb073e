//! What hosts are asked, what they are given, and what they say of their replicas.
use super::*;
use foremesh_core::topology::{Replica, Snapshot};

fn replica<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Replica> {
    snapshot.workloads[&cart()].replicas.get(&ReplicaId::from(name))
}

/// A fixture whose hosts have one more command.
fn with(fixture: &Fixture, command: &str) -> String {
    fixture.yaml().replace("      usage: [", &format!("      {command}\n      usage: ["))
}

#[tokio::test]
async fn commands_get_the_files_environment_and_none_of_the_planners() {
    let fixture = Fixture::new();
    let seen = fixture.path("environment").display().to_string();
    let yaml = fixture
        .yaml()
        .replacen("start: [touch,", &format!("start: [sh, -c, \"env > {seen}; touch $0\","), 2)
        .replacen(
            "    commands:",
            "    environment: {OF: \"{instance}@{host}:{port}\", BOTH: host}\n    commands:",
            1,
        )
        + "environment: {BOTH: file, ALONE: file}\npassEnvironment: [CARGO_PKG_NAME]\n";
    // Cargo sets these for every test.
    assert!(std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    fs::remove_file(fixture.path("cart@h1")).unwrap();
    let platform = fixture.open_with(&yaml).await.unwrap();
    platform.place(&cart(), &NodeId::from("h1"), None).await.unwrap();
    let environment = fs::read_to_string(&seen).unwrap();
    for line in ["OF=cart@h1:8080", "BOTH=host", "ALONE=file", "CARGO_PKG_NAME=foremesh"] {
        assert!(environment.lines().any(|of| of == line), "{line}: {environment}");
    }
    assert!(environment.contains("PATH=") && !environment.contains("CARGO_MANIFEST_DIR"), "{environment}");
}

#[tokio::test]
async fn a_replica_that_does_not_answer_has_a_reason() {
    let cases = [
        ("status: [sh, -c, \"echo failed; exit 3\"]", "it failed (failed)"),
        ("status: [echo, '{\"state\": \"stopped\", \"since\": \"noon\"}']", "it is stopped since noon"),
        ("status: [echo, active]", "it runs, but does not answer its ready check"),
        ("status: [sh, -c, \"exit 255\"]", "ended with exit code 255"),
        ("prepare: [echo]", "`ready` of workload `cart` on host `h1`"),
    ];
    for (command, want) in cases {
        let fixture = Fixture::new();
        let platform = fixture.open_with(&with(&fixture, command)).await.unwrap();
        fs::remove_file(fixture.path("cart@h1")).unwrap();
        let snapshot = platform.snapshot().await.unwrap();
        let seen = replica(&snapshot, "cart@h1").expect("it is recorded");
        let because = seen.because.as_deref().unwrap_or_default();
        assert!(!seen.ready && because.contains(want), "{command}: {because}");
        let is_there = snapshot.nodes[&NodeId::from("h1")].state == NodeState::Ready;
        assert_eq!(
            is_there,
            !command.contains("255"),
            "{command}: one that cannot be asked is not a stopped one"
        );
    }
}

#[tokio::test]
async fn an_inventory_answers_for_all_replicas_of_a_host() {
    let fixture = Fixture::new();
    let list = fixture.path("list.{host}").display().to_string();
    let asked = fixture.path("asked").display().to_string();
    let yaml = fixture
        .yaml()
        .replace("      usage: [", &format!("      inventory: [cat, \"{list}\"]\n      was: ["))
        .replace(
            "ready: [test,",
            &format!("ready: [sh, -c, \"echo $0 >> {asked}; test $1 $2\", \"{{host}}\","),
        );
    let yaml: String = yaml
        .lines()
        .filter(|line| !line.contains("was: ["))
        .fold(String::new(), |all, line| all + line + "\n");
    let write = |host: &str, text: &str| fs::write(fixture.path(&format!("list.{host}")), text).unwrap();
    let usage = "{\"cpu_used_millicores\": 700, \"cpu_steal_millicores\": 100, \"memory_used_bytes\": 5e8}\n";
    write(
        "h1",
        &format!(
            "{usage}{{\"workload\": \"cart\", \"state\": \"running\", \"ready\": true, \"cpu_millicores\": 9}}"
        ),
    );
    write("h2", usage);
    let platform = fixture.open_with(&yaml).await.unwrap();
    let snapshot = platform.snapshot().await.unwrap();
    assert!(replica(&snapshot, "cart@h1").is_some_and(|replica| replica.ready));
    assert!(replica(&snapshot, "cart@h2").is_none());
    let h2 = &snapshot.nodes[&NodeId::from("h2")];
    assert_eq!(
        (h2.used.map(foremesh_core::units::Millicores::get), h2.memory_used_bytes),
        (Some(800.0), Some(5e8))
    );
    assert_eq!(snapshot.workloads[&cart()].used.map(foremesh_core::units::Millicores::get), Some(9.0));
    assert!(!fixture.path("asked").exists(), "nobody was asked one by one");

    // Not said whether it is ready: then that is asked, there alone.
    write("h1", &format!("{usage}{{\"workload\": \"cart\", \"state\": \"running\"}}"));
    assert!(replica(&platform.snapshot().await.unwrap(), "cart@h1").is_some_and(|replica| replica.ready));
    assert_eq!(fs::read_to_string(fixture.path("asked")).unwrap(), "h1\n");

    write(
        "h1",
        &format!("{usage}{{\"workload\": \"cart\", \"state\": \"failed\", \"detail\": \"oom-kill\"}}"),
    );
    let snapshot = platform.snapshot().await.unwrap();
    let because = replica(&snapshot, "cart@h1").and_then(|replica| replica.because.clone());
    assert_eq!(because.as_deref(), Some("it failed (oom-kill)"));

    write("h1", "{");
    let snapshot = platform.snapshot().await.unwrap();
    let NodeState::Unreachable(why) = &snapshot.nodes[&NodeId::from("h1")].state else {
        panic!("{snapshot:?}")
    };
    assert!(why.contains("`inventory` of host `h1`") && why.contains("wrote `{`"), "{why}");
}

/// Many workloads allowed on many hosts: each look asks about what is recorded, and a few of all others in turn.
#[tokio::test]
async fn a_look_asks_few_of_many_pairs_and_all_of_them_in_the_end() {
    const HOSTS: usize = 10;
    const WORKLOADS: usize = 30;
    let fixture = Fixture::new();
    let asked = fixture.path("asked").display().to_string();
    let replica = fixture.path("{workload}@{host}").display().to_string();
    let host = |at: usize| {
        format!(
            "  - {{name: h{at}, address: 127.0.0.{at}, capacity: 1000m, commands: {{start: [touch, \"{replica}\"], stop: [rm, \
             \"{replica}\"], ready: [sh, -c, \"echo $1 >> {asked}; test -e $0\", \"{replica}\", \"{{workload}}@{{host}}\"]}}}}\n"
        )
    };
    let workload =
        |at: usize| format!("  - {{name: w{at}, port: {}, runsOn: [h{}]}}\n", 9000 + at, 1 + at % HOSTS);
    let hosts: String = (1..=HOSTS).map(host).collect();
    let workloads: String = (0..WORKLOADS).map(workload).collect();
    let yaml = format!(
        "hosts:\n{hosts}workloads:\n{workloads}traffic: {{edsDirectory: eds}}\ndeadlines: {{ready: 30s}}\n"
    );
    let platform = fixture.open_with(&yaml).await.unwrap();
    let all: std::collections::BTreeSet<String> = (0..WORKLOADS)
        .flat_map(|workload| (1..=HOSTS).map(move |host| format!("w{workload}@h{host}")))
        .collect();
    // By hand, where nobody put it.
    fs::write(fixture.path("w3@h9"), "").unwrap();
    let (mut seen, mut looks, mut found) = (std::collections::BTreeSet::new(), 0, false);
    while seen != all {
        looks += 1;
        assert!(looks <= 10, "{} of {} pairs after {looks} looks", seen.len(), all.len());
        let _ = fs::remove_file(fixture.path("asked"));
        let snapshot = platform.snapshot().await.unwrap();
        let now = fs::read_to_string(fixture.path("asked")).unwrap();
        assert!(now.lines().count() <= WORKLOADS + 64 + 1, "{} in look {looks}", now.lines().count());
        for at in 0..WORKLOADS {
            assert!(
                now.contains(&format!("w{at}@h{}\n", 1 + at % HOSTS)),
                "what is recorded is asked each time"
            );
        }
        seen.extend(now.lines().map(str::to_owned));
        let there =
            snapshot.workloads[&WorkloadId::from("w3")].replicas.contains_key(&ReplicaId::from("w3@h9"));
        assert!(there || !found, "what was found is asked again each time");
        found |= there;
    }
    assert!(found);
}
