//! A host that goes away with something on it that has to be stopped, and comes back.
use super::*;

/// A fixture whose commands fail on a host that is down, as those over ssh do.
struct Away {
    fixture: Fixture,
    yaml: String,
}

impl Away {
    fn new(has_usage: bool) -> Self {
        let fixture = Fixture::new();
        let down = fixture.path("down.{host}").display().to_string();
        let over = |command: &str| {
            format!("{command}: [sh, -c, \"test ! -e $0 || exit 255; exec $@\", \"{down}\", ")
        };
        let mut yaml = fixture.yaml();
        for command in ["start", "ready", "stop", "usage"] {
            yaml = yaml.replace(&format!("{command}: ["), &over(command));
        }
        if !has_usage {
            let lines = yaml.lines().filter(|line| !line.trim_start().starts_with("usage: ["));
            yaml = lines.fold(String::new(), |all, line| all + line + "\n");
        }
        Self { fixture, yaml }
    }

    fn down(&self, host: &str) {
        fs::write(self.fixture.path(&format!("down.{host}")), "").unwrap();
    }

    fn up(&self, host: &str) {
        fs::remove_file(self.fixture.path(&format!("down.{host}"))).unwrap();
    }

    async fn open(&self) -> HostsPlatform {
        self.fixture.open_with(&self.yaml).await.unwrap()
    }

    /// Looks at the hosts until what is owed is paid.
    async fn until_paid(&self, platform: &HostsPlatform) {
        let paid = async {
            while !platform.owed().await.is_empty() {
                platform.snapshot().await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), paid).await.expect("what is owed is paid");
    }
}

#[tokio::test]
async fn a_stop_on_a_host_that_is_away_is_made_when_it_is_back() {
    for has_usage in [true, false] {
        let away = Away::new(has_usage);
        let (h1, h2) = (NodeId::from("h1"), NodeId::from("h2"));
        let platform = away.open().await;
        platform.place(&cart(), &h2, None).await.unwrap();
        platform.set_weights(&service(), &weights(&[("cart@h2", 100)])).await.unwrap();
        away.down("h1");
        platform.retire(&cart(), &h1, None).await.unwrap();
        let owed = "workload `cart` is still to be stopped on host `h1`, which could not be asked";
        assert_eq!(platform.owed().await, [owed]);
        let platform = away.open().await;
        let snapshot = platform.snapshot().await.unwrap();
        let workload = &snapshot.workloads[&cart()];
        assert_eq!(workload.replicas.keys().map(ReplicaId::as_str).collect::<Vec<_>>(), ["cart@h2"]);
        assert_eq!(
            workload.allowed_nodes,
            [h2.clone()].into(),
            "nothing is put where something is to be stopped"
        );
        assert_eq!(platform.owed().await, [owed], "a restart does not forget it");

        // It comes back with all that ran on it.
        away.up("h1");
        away.until_paid(&platform).await;
        assert!(!away.fixture.path("cart@h1").exists() && away.fixture.path("cart@h2").exists());
        let placements = fs::read_to_string(away.fixture.path("state/placements.json")).unwrap();
        assert!(!placements.contains("h1") && !placements.contains("owed"), "{placements}");
        assert!(platform.snapshot().await.unwrap().workloads[&cart()].allowed_nodes.is_empty());
    }
}

#[tokio::test]
async fn what_is_placed_again_is_not_stopped() {
    let away = Away::new(true);
    let (h1, h2) = (NodeId::from("h1"), NodeId::from("h2"));
    let platform = away.open().await;
    platform.place(&cart(), &h2, None).await.unwrap();
    away.down("h2");
    platform.retire(&cart(), &h2, None).await.unwrap();
    away.up("h2");
    platform.place(&cart(), &h2, None).await.unwrap();
    assert!(platform.owed().await.is_empty());
    platform.snapshot().await.unwrap();
    assert!(platform.is_ready(&cart(), &h2, &ReplicaId::from("cart@h2")).await.unwrap());
    assert!(platform.is_ready(&cart(), &h1, &ReplicaId::from("cart@h1")).await.unwrap());
}

#[tokio::test]
async fn a_stop_that_fails_on_a_host_that_is_there_is_an_error() {
    let fixture = Fixture::new();
    let platform =
        fixture.open_with(&fixture.yaml().replace("stop: [rm, -f,", "stop: [ls, -d,")).await.unwrap();
    let error = platform.retire(&cart(), &NodeId::from("h2"), None).await.unwrap_err().to_string();
    assert!(error.contains("`stop` of workload `cart` on host `h2`"), "{error}");
    assert!(platform.owed().await.is_empty());
}

/// Whoever only looks changes nothing.
#[tokio::test]
async fn a_look_pays_nothing() {
    let away = Away::new(true);
    let platform = away.open().await;
    platform.set_weights(&service(), &weights(&[("cart@h2", 100)])).await.unwrap();
    away.down("h1");
    platform.retire(&cart(), &NodeId::from("h1"), None).await.unwrap();
    away.up("h1");
    let hosts = Hosts::parse(&away.fixture.path("hosts.yaml"), &away.yaml).unwrap();
    let clock = Clock::Manual(ManualClock::new(Timestamp::from_unix_ms(1_000)));
    let looking = HostsPlatform::look(hosts, &away.fixture.path("state"), clock).await.unwrap();
    for _ in 0..3 {
        looking.snapshot().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(away.fixture.path("cart@h1").exists());
}

#[tokio::test]
async fn who_cannot_be_asked_is_not_ready_only_where_nobody_listens() {
    let away = Away::new(true);
    let listener = tokio::net::TcpListener::bind("127.0.0.11:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let yaml = away.yaml.replace("port: 8080", &format!("port: {port}"));
    let platform = away.fixture.open_with(&yaml).await.unwrap();
    away.down("h1");
    let (h1, replica) = (NodeId::from("h1"), ReplicaId::from("cart@h1"));
    let error = platform.is_ready(&cart(), &h1, &replica).await.unwrap_err().to_string();
    assert!(error.contains("exit code 255"), "{error}");
    drop(listener);
    assert!(!platform.is_ready(&cart(), &h1, &replica).await.unwrap());
}
