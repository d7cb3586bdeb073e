use super::*;
use foremesh_kubernetes::{ClusterSettings, resources::relocation::Keep, webhook::WebhookAddress};

const GOOD: &str = "stateDirectory: state\nplatform: {hosts: hosts.yaml}\npolicies: [policies]\n";

fn problem_of(extra: &str) -> String {
    Settings::parse(Path::new("/etc/foremesh/foremesh.yaml"), &format!("{GOOD}{extra}"))
        .unwrap_err()
        .to_string()
}

#[test]
fn paths_start_at_the_settings_file() {
    let settings = Settings::parse(Path::new("/etc/foremesh/foremesh.yaml"), GOOD).unwrap();
    let Platform::Hosts(hosts) = &settings.platform else { panic!("{:?}", settings.platform) };
    assert_eq!(hosts, Path::new("/etc/foremesh/hosts.yaml"));
    assert_eq!(settings.policies, [Path::new("/etc/foremesh/policies")]);
    assert_eq!(settings.step, Span::from_secs(60));
}

#[test]
fn one_platform_is_set() {
    let read = |platform: &str| {
        let text = format!("stateDirectory: state\nplatform: {platform}\npolicies: [policies]\n");
        Settings::parse(Path::new("/etc/foremesh/foremesh.yaml"), &text)
    };
    let kubernetes = |platform: &str| match read(platform).unwrap().platform {
        Platform::Kubernetes(kubernetes) => *kubernetes,
        other => panic!("{other:?}"),
    };
    let swarm = |platform: &str| match read(platform).unwrap().platform {
        Platform::Swarm(swarm) => *swarm,
        other => panic!("{other:?}"),
    };
    assert_eq!(swarm("{swarm: {}}"), SwarmSettings::default());
    assert_eq!(SwarmSettings::default().endpoint.to_string(), "unix:///var/run/docker.sock");
    let named = swarm(
        "{swarm: {endpoint: 'tcp://10.0.0.1:2376', edsDirectory: eds, tls: {ca: ca.pem, certificate: c.pem, key: /k.pem}}}",
    );
    assert_eq!(named.eds_directory.as_deref(), Some(Path::new("/etc/foremesh/eds")));
    let tls = named.client().tls.unwrap();
    assert_eq!(
        (tls.ca.as_path(), tls.key.as_path()),
        (Path::new("/etc/foremesh/ca.pem"), Path::new("/k.pem"))
    );
    assert_eq!(kubernetes("{kubernetes: {}}"), KubernetesSettings::default());
    assert_eq!(kubernetes("{kubernetes: {}}").cluster(), ClusterSettings::default());
    let named = kubernetes("{kubernetes: {kubeconfig: east.yaml, context: east, staleAfter: 5m}}");
    assert_eq!(named.kubeconfig.as_deref(), Some(Path::new("/etc/foremesh/east.yaml")));
    assert_eq!(named.stale_after, Span::from_secs(300));
    let moves = |webhook: &str| {
        format!(
            "{{kubernetes: {{moves: {{namespace: foremesh, webhook: {{listen: '0.0.0.0:8443'{webhook}}}}}}}}}"
        )
    };
    let staging = kubernetes("{kubernetes: {staging: {maxRate: 50, maxDuration: 2m}}}").staging.unwrap();
    let limits = staging.limits();
    assert_eq!((limits.max_rate_rps, limits.max_duration_ms, limits.warm_up_ms), (50.0, 120_000, 10_000));
    assert_eq!(StagingSettings::default().limits(), foremesh_core::trial::TrialLimits::default());
    let inside = kubernetes(&moves(", service: foremesh")).moves.unwrap();
    assert_eq!(inside.address(), Some(WebhookAddress::Service { name: "foremesh".into(), port: 443 }));
    assert_eq!(
        (inside.istiod.namespace.as_str(), inside.istiod.account.as_str()),
        ("istio-system", "foremesh")
    );
    let outside = kubernetes(&moves(", host: 10.0.0.7")).moves.unwrap();
    assert_eq!(outside.address(), Some(WebhookAddress::Url { host: "10.0.0.7".into(), port: 8443 }));
    assert_eq!((inside.lease().name.as_str(), inside.lease().duration.as_secs()), ("foremesh-planner", 15));
    let leased = kubernetes(&moves(", service: foremesh}, lease: {name: east, duration: 30s")).moves.unwrap();
    assert_eq!((leased.lease().namespace.as_str(), leased.lease().name.as_str()), ("foremesh", "east"));
    assert_eq!(leased.lease().duration.as_secs(), 30);
    assert_eq!(inside.relocations.keep(), Keep { for_ms: 7 * 86_400_000, at_most: 50 });
    let few = kubernetes(&moves(", service: foremesh}, relocations: {keep: 1h, atMost: 3")).moves.unwrap();
    assert_eq!(few.relocations.keep(), Keep { for_ms: 3_600_000, at_most: 3 });
    for duration in ["4s", "6m", "5500ms"] {
        let written = moves(&format!(", service: foremesh}}, lease: {{duration: {duration}"));
        let problem = read(&written).unwrap_err().to_string();
        assert!(problem.contains("must be whole seconds, 5s to 5m; leave it out for 15s"), "{problem}");
    }
    for webhook in ["", ", service: foremesh, host: 10.0.0.7"] {
        let problem = read(&moves(webhook)).unwrap_err().to_string();
        assert!(problem.contains("but must be either `service` or `host` beside `listen`"), "{problem}");
    }
    for (platform, want) in [
        ("{}", "no platform is set; write `hosts: FILE`"),
        ("{hosts: hosts.yaml, kubernetes: {}}", "several platforms are set, but one planner works with one"),
        ("{swarm: {}, kubernetes: {}}", "several platforms are set, but one planner works with one"),
        ("{swarm: {endpoint: /var/run/docker.sock}}", "is neither unix:///PATH nor tcp://HOST:PORT"),
        ("{swarm: {poll: 5ms}}", "platform.swarm.poll"),
        ("{docker: {}}", "unknown field `docker`"),
        (
            "{kubernetes: {staleAfter: 1m}}",
            "`platform.kubernetes.staleAfter` is 1m, but must be 2m or more; a",
        ),
    ] {
        let problem = read(platform).unwrap_err().to_string();
        assert!(problem.contains(want), "{platform}: {problem}");
    }
}

#[test]
fn each_bad_setting_gets_one_clear_error() {
    for (name, extra, want) in [
        ("unknown field", "intervall: 30s\n", "unknown field `intervall`"),
        (
            "no unit",
            "interval: \"30\"\n",
            "`30` is not a duration; write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d",
        ),
        (
            "season not whole steps",
            "step: 7s\n",
            "`season` is 1d, but must be a multiple of `step` (7s), two steps at least; 24h suits",
        ),
        (
            "horizon over season",
            "horizon: 48h\n",
            "`horizon` is 2d, but must be from one step (1m) to one season (1d)",
        ),
        (
            "moves forgotten too soon",
            "retention: {moves: 1d}\n",
            "`retention.moves` is 1d, but must be 7d or more; the cooldown",
        ),
        (
            "nobody can be so fast",
            "approveWithin: 1s\n",
            "`approveWithin` is 1s, but must be from one `interval` (30s) to 1d; 1h gives",
        ),
        ("a plan of last week", "approveWithin: 7d\n", "`approveWithin` is 7d, but must be from one"),
        (
            "a net that is trained all the time",
            "forecast: {lstm: {trainEvery: 1s}}\n",
            "`forecast.lstm.trainEvery` is 1s, but must be 1m",
        ),
        ("too long a training", "forecast: {lstm: {windows: 3000000}}\n", "must be 2000000 or less"),
        (
            "more than a core",
            "forecast: {relearnShare: 1.5}\n",
            "`forecast.relearnShare` is 1.5, but must be from 0 to 1",
        ),
        ("step too short", "step: 1ms\n", "`step` is 1ms, but must be 100ms or more; 60s suits most meshes"),
    ] {
        let text = problem_of(extra);
        assert!(text.contains(want), "case {name}: {text}");
        assert!(text.starts_with("settings file `/etc/foremesh/foremesh.yaml`: "), "case {name}: {text}");
    }
}
