use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::envoy::{EnvoyOptions, EnvoyProcess, find_binary};

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn identity(workload: &str) -> Identity {
    Identity {
        workload: workload.to_owned(),
        pod: format!("{workload}-host-a"),
        node: "host-a".to_owned(),
        zone: "zone-1".to_owned(),
    }
}

fn filter(module: &Path) -> FilterConfig {
    FilterConfig {
        module: module.to_owned(),
        interval_ms: 500,
        planner: loopback(7400),
        discovery: None,
        peers: false,
    }
}

fn host(filter: Option<FilterConfig>) -> HostConfig {
    HostConfig {
        identity: identity("shop"),
        service: "shop".to_owned(),
        route: "default".to_owned(),
        listen: loopback(12_001),
        service_port: 12_002,
        admin_port: 12_003,
        filter,
    }
}

fn edge(endpoints: Endpoints, filter: Option<FilterConfig>) -> EdgeConfig {
    EdgeConfig {
        identity: identity("edge"),
        service: "shop".to_owned(),
        route: "default".to_owned(),
        listen: loopback(12_004),
        admin_port: 12_005,
        endpoints,
        filter,
    }
}

#[test]
fn host_leads_from_listener_to_service_and_names_the_proxy() {
    let text = host(Some(filter(Path::new("/lib/foremesh.wasm")))).render().unwrap();
    for part in [
        "socket_address: { address: 127.0.0.1, port_value: 12001 }",
        "socket_address: { address: 127.0.0.1, port_value: 12002 }",
        "socket_address: { address: 127.0.0.1, port_value: 12003 }",
        "socket_address: { address: 127.0.0.1, port_value: 7400 }",
        "name: \"inbound|80||shop\"",
        "fail_open: true",
        "filename: /lib/foremesh.wasm",
        "\"interval_ms\": 500,",
        r#""proxy": {"workload": "shop", "pod": "shop-host-a", "node": "host-a", "zone": "zone-1"}"#,
    ] {
        assert!(text.contains(part), "missing `{part}` in:\n{text}");
    }
}

#[test]
fn without_filter_neither_module_nor_planner_is_left() {
    for text in
        [host(None).render().unwrap(), edge(Endpoints::Static(loopback(12_001)), None).render().unwrap()]
    {
        for absent in ["wasm", "foremesh", "${", "# begin filter"] {
            assert!(!text.contains(absent), "`{absent}` is left in:\n{text}");
        }
        assert!(text.contains("envoy.filters.http.router"), "the router is gone:\n{text}");
    }
}

#[test]
fn edge_takes_endpoints_from_a_file_a_planner_or_the_settings() {
    let from_file = edge(Endpoints::File("/run/eds/shop.pb".into()), None).render().unwrap();
    assert!(from_file.contains("path: /run/eds/shop.pb"), "{from_file}");
    assert!(from_file.contains("watched_directory: { path: /run/eds }"), "{from_file}");
    let served = edge(Endpoints::Served(loopback(7401)), None).render().unwrap();
    assert!(served.contains("socket_address: { address: 127.0.0.1, port_value: 7401 }"), "{served}");
    assert!(served.contains("cluster_name: foremesh-endpoints") && !served.contains("path:"), "{served}");
    let fixed = edge(Endpoints::Static(loopback(12_001)), None).render().unwrap();
    assert!(fixed.contains("type: STATIC") && !fixed.contains("EDS"), "{fixed}");
}

#[test]
fn filter_is_the_same_text_in_both_templates() {
    let block = |text: &str| {
        let rest = text.split_once("# begin filter").unwrap().1;
        rest.split_once("# end filter").unwrap().0.to_owned()
    };
    assert_eq!(block(HOST), block(EDGE));
}

#[test]
fn a_value_that_would_change_the_structure_is_refused_by_name() {
    for value in ["", "shop\"}", "a b", "x\ny", "${POD}"] {
        let mut config = host(None);
        config.service = value.to_owned();
        let error = config.render().unwrap_err();
        assert!(matches!(error, ConfigError::Value { name: "SERVICE", .. }), "value {value:?}: {error}");
    }
}

#[test]
fn discovered_filter_has_the_settings_in_its_own_file() {
    let filter =
        FilterConfig { discovery: Some("/run/ecds/foremesh.yaml".into()), ..filter(Path::new("/f.wasm")) };
    let resource = filter.resource(&identity("shop")).unwrap();
    assert!(resource.starts_with("resources:\n- \"@type\": "), "{resource}");
    assert!(resource.contains("\n  typed_config:\n    \"@type\": "), "indentation is wrong:\n{resource}");
    assert!(resource.contains("\"interval_ms\": 500,"), "{resource}");
    let text = host(Some(filter)).render().unwrap();
    assert!(text.contains("path: /run/ecds/foremesh.yaml"), "{text}");
    assert!(!text.contains("interval_ms") && text.contains("port_value: 7400"), "{text}");
}

/// The smallest module that Envoy takes as a filter: it names its ABI version, has a memory, and does nothing.
fn empty_module() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend([1, 9, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f]); // types: () -> (), (i32) -> i32
    module.extend([3, 3, 2, 0, 1]); // two functions
    module.extend([5, 3, 1, 0, 1]); // one page of memory
    let exports: [(&str, u8, u8); 3] =
        [("proxy_abi_version_0_2_1", 0, 0), ("proxy_on_memory_allocate", 0, 1), ("memory", 2, 0)];
    let mut section = vec![exports.len() as u8];
    for (name, kind, index) in exports {
        section.push(name.len() as u8);
        section.extend(name.bytes());
        section.extend([kind, index]);
    }
    module.extend([7, section.len() as u8]);
    module.extend(section);
    module.extend([10, 9, 2, 2, 0, 0x0b, 4, 0, 0x41, 0, 0x0b]); // bodies
    module
}

#[test]
#[ignore = "needs Envoy on the PATH or in build/bin"]
fn envoy_accepts_every_variant() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binary = find_binary(None, option_env!("PATH"), &root).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("empty.wasm");
    std::fs::write(&module, empty_module()).unwrap();
    let eds = directory.path().join("shop.pb");
    std::fs::write(&eds, []).unwrap();
    let discovery = directory.path().join("filter.yaml");
    std::fs::write(&discovery, filter(&module).resource(&identity("shop")).unwrap()).unwrap();
    let discovered = FilterConfig { discovery: Some(discovery), ..filter(&module) };
    let cases = [
        ("host, discovered filter", host(Some(discovered)).render()),
        ("host", host(None).render()),
        ("host with filter", host(Some(filter(&module))).render()),
        ("edge, static", edge(Endpoints::Static(loopback(12_001)), None).render()),
        ("edge, served", edge(Endpoints::Served(loopback(7401)), Some(filter(&module))).render()),
        ("edge, file and filter", edge(Endpoints::File(eds), Some(filter(&module))).render()),
    ];
    for (name, text) in cases {
        let path = directory.path().join("envoy.yaml");
        std::fs::write(&path, text.unwrap()).unwrap();
        let output = Command::new(&binary)
            .args(["--mode", "validate", "--disable-hot-restart", "-c"])
            .arg(&path)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "case {name}: {errors}");
        assert!(!errors.contains("Wasm VM failed"), "case {name}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy on the PATH or in build/bin"]
async fn changed_settings_of_the_filter_reach_a_running_envoy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binary = find_binary(None, option_env!("PATH"), &root).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("empty.wasm");
    std::fs::write(&module, empty_module()).unwrap();
    let discovery = directory.path().join("filter.yaml");
    let mut settings = FilterConfig { discovery: Some(discovery.clone()), ..filter(&module) };
    let write = |settings: &FilterConfig| settings.resource(&identity("shop")).unwrap();
    replace_file(&discovery, write(&settings).as_bytes()).await.unwrap();
    let ports = crate::free_ports(2).unwrap();
    let mut config = host(Some(settings.clone()));
    (config.listen, config.admin_port) = (loopback(ports[0]), ports[1]);
    let options = EnvoyOptions::new("envoy", &binary, directory.path(), ports[1]);
    let mut envoy = EnvoyProcess::start(&config.render().unwrap(), &options).await.unwrap();
    let patience = Duration::from_secs(30);
    envoy.wait_until_ready(patience).await.unwrap();
    let reloads = "extension_config_discovery.http_filter.foremesh.config_reload";
    let before = envoy.admin().counter(reloads).await.unwrap().unwrap();
    settings.interval_ms = 900;
    replace_file(&discovery, write(&settings).as_bytes()).await.unwrap();
    let end = tokio::time::Instant::now() + patience;
    while envoy.admin().counter(reloads).await.unwrap() == Some(before) {
        assert!(tokio::time::Instant::now() < end, "the change was not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    envoy.stop(patience).await.unwrap();
}
