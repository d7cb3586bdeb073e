use super::*;

#[test]
fn no_configuration_is_all_defaults() {
    for json in ["", " \n", "{}"] {
        assert_eq!(Config::parse(json.as_bytes()), Config::default(), "{json:?}");
    }
}

#[test]
fn every_setting_is_read() {
    let json = r#"{"planner":"outbound|8080||planner.foremesh.svc.cluster.local","interval_ms":3000.0,"max_keys":7,
        "idle_windows":9,"peer":true,"direction_default":"inbound","host_compression_above_bytes":0,"log_push":true,
        "proxy":{"mesh":"m","cluster":"c","namespace":"n","workload":"w","pod":"p","node":"h","zone":"z"}}"#;
    let some = |text: &str| Some(text.to_owned());
    let want = Config {
        planner: "outbound|8080||planner.foremesh.svc.cluster.local".to_owned(),
        interval_ms: 3000,
        recorder: Settings { max_keys: 7, idle_windows: 9 },
        peer: Peer::Workload,
        direction_default: Direction::Inbound,
        compress_above_bytes: 0,
        log_push: true,
        proxy: Overrides {
            mesh: some("m"),
            cluster: some("c"),
            namespace: some("n"),
            workload: some("w"),
            pod: some("p"),
            node: some("h"),
            zone: some("z"),
        },
        error: String::new(),
    };
    assert_eq!(Config::parse(json.as_bytes()), want);
}

#[test]
fn a_bad_setting_keeps_its_default_and_is_told() {
    let cases = [
        (r#"{"interval_ms":1}"#, "interval_ms is 1, must be a whole number from 200 to 60000: 2000 is used"),
        (
            r#"{"interval_ms":2.5}"#,
            "interval_ms is 2.5, must be a whole number from 200 to 60000: 2000 is used",
        ),
        (r#"{"max_keys":-1}"#, "max_keys is -1, must be a whole number from 1 to 4000: 512 is used"),
        (r#"{"planner":""}"#, "planner is \"\", must be a text that is not empty: foremesh-planner is used"),
        (
            r#"{"peer":"yes"}"#,
            "peer is \"yes\", must be \"off\", \"workload\" or \"endpoint\": \"off\" is used",
        ),
        (
            r#"{"direction_default":"up"}"#,
            "direction_default is \"up\", must be \"inbound\" or \"outbound\": \"outbound\" is used",
        ),
        (r#"{"proxy":[1, 2]}"#, "proxy is [1, 2], must be an object: what the proxy says of itself is used"),
        (
            r#"{"proxy":{"pod":5}}"#,
            "proxy.pod is 5, must be a text that is not empty: what the proxy says of itself is used",
        ),
        (r#"{"intervall_ms":1}"#, "intervall_ms is no setting: it is ignored"),
        (r#"{"proxy":{"host":"a"}}"#, "proxy.host is no setting: it is ignored"),
        (
            r#"{"a":1,"peer":1}"#,
            "a is no setting: it is ignored; peer is 1, must be \"off\", \"workload\" or \"endpoint\": \"off\" is used",
        ),
        ("[]", "the configuration is no JSON object: defaults are used"),
        (r#"{"peer":}"#, "the configuration is not valid JSON at byte 8: defaults are used"),
    ];
    for (json, want) in cases {
        let config = Config::parse(json.as_bytes());
        assert_eq!(config.error, want, "{json}");
        assert_eq!(Config { error: String::new(), ..config }, Config::default(), "{json}");
    }
    assert_eq!(Config::parse(b"\xff").error, "the configuration is not UTF-8: defaults are used");
}

#[test]
fn a_peer_is_read_in_one_of_two_places_or_not() {
    let cases = [
        ("false", Peer::Off),
        ("\"off\"", Peer::Off),
        ("true", Peer::Workload),
        ("\"workload\"", Peer::Workload),
        ("\"endpoint\"", Peer::Endpoint),
    ];
    for (value, peer) in cases {
        let config = Config::parse(format!("{{\"peer\":{value}}}").as_bytes());
        assert_eq!((config.peer, config.error.as_str()), (peer, ""), "{value}");
    }
}

#[test]
fn a_bad_setting_does_not_touch_the_others() {
    let config = Config::parse(br#"{"max_keys":0,"interval_ms":1000,"proxy":{"pod":1,"node":"h"}}"#);
    assert_eq!((config.interval_ms, config.proxy.node.as_deref()), (1000, Some("h")));
    assert!(config.error.starts_with("max_keys is 0"), "{}", config.error);
}
