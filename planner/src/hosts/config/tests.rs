//! What a hosts file may say, and the text of each refusal.
use super::*;

/// The example of the documentation.
pub(crate) const EXAMPLE: &str = r#"hosts:
  - name: h1
    zone: rack-a
    address: 127.0.0.11
    capacity: 2000m
    costPerHour: 0.12
    deadlines: { start: 90s }
    commands:
      prepare: [ssh, h1, fetch, "{workload}"]
      start: [ssh, h1, systemctl, start, "{workload}@{port}"]
      ready: [curl, --fail, --max-time, "2", "http://{address}:{port}/ready"]
      stop: [ssh, h1, systemctl, stop, "{workload}@{port}"]
      usage: [ssh, h1, foremesh-usage, --host, "{host}"]
  - name: h2
    address: 127.0.0.12
    capacity: 4000
    cordoned: true
    commands:
      start: [start, "{service}"]
      ready: [ready, "{\"a\": {B}}"]
      stop: [stop]
workloads:
  - name: cart
    service: cart.shop
    tier: critical
    port: { h1: 8081, h2: 8082 }
    clusterPort: 8080
    runsOn: [h1]
    allowedHosts: [h1, h2]
  - name: web
    port: 9000
    runsOn: [h2]
    pinned: its disk is on h2
traffic:
  edsDirectory: eds
deadlines:
  ready: 2s
"#;

fn parse(text: &str) -> Result<Hosts, HostsFileError> {
    Hosts::parse(Path::new("/etc/foremesh/hosts.yaml"), text)
}

#[test]
fn the_example_says_what_it_says() {
    let hosts = parse(EXAMPLE).unwrap();
    let cart = &hosts.workloads[&WorkloadId::from("cart")];
    assert_eq!(cart.service, ServiceId::from("cart.shop"));
    assert_eq!((cart.tier, cart.cluster_port), (Tier::Critical, 8080));
    assert_eq!(cart.ports[&NodeId::from("h2")], 8082);
    let web = &hosts.workloads[&WorkloadId::from("web")];
    assert_eq!((web.service.as_str(), web.cluster_port, web.allowed.len()), ("web", 80, 2));
    assert_eq!(hosts.eds_directory, Path::new("/etc/foremesh/eds"));
    let h1 = &hosts.hosts[&NodeId::from("h1")];
    let deadline = |kind| h1.deadlines.of(kind, &hosts.deadlines).ms();
    assert_eq!([Kind::Ready, Kind::Start, Kind::Stop].map(deadline), [2_000, 90_000, 60_000]);
    assert!((h1.capacity.get() - 2000.0).abs() < 1e-9 && h1.zone == Some(Zone::from("rack-a")));
    assert!(hosts.hosts[&NodeId::from("h2")].cordoned);
}

#[test]
fn every_refusal_names_place_value_limit_and_remedy() {
    let cases = [
        (
            ("address: 127.0.0.11", "address: h1.example"),
            "line 2: host `h1`, field `address`: `h1.example` is not an IP address; Envoy takes only IP addresses as \
             endpoints: write the host's address, such as 192.0.2.7",
        ),
        (
            ("capacity: 4000", "capacity: 0"),
            "line 14: host `h2`, field `capacity`: 0 millicores is not from 1 to 1000000000; write the CPU that workloads \
             can have, such as 2000m for two cores",
        ),
        (
            ("costPerHour: 0.12", "costPerHour: -1"),
            "line 2: host `h1`, field `costPerHour`: -1 is not 0 or more; write the price of one hour, in any one currency",
        ),
        (
            ("stop: [stop]", "stop: [stop, \"--pod={pod}\"]"),
            "line 14: host `h2`, field `commands.stop`: `{pod}` is not a placeholder here; use {workload}, {service}, \
             {instance}, {host}, {address}, {port}",
        ),
        (
            ("--host, \"{host}\"", "--port, \"{port}\""),
            "line 2: host `h1`, field `commands.usage`: `{port}` is not a placeholder here; use {host}, {address}",
        ),
        (
            ("stop: [stop]", "stop: []"),
            "line 14: host `h2`, field `commands.stop`: the program is missing; write a list: the program first, then its \
             arguments, such as [systemctl, start, \"{workload}\"]",
        ),
        (
            ("- name: h2", "- name: h1"),
            "line 2: host `h1`, field `name`: there are two hosts with this name; give each its own",
        ),
        (
            ("- name: web", "- name: ../web"),
            "line 30: workload `../web`, field `name`: `../web` is not a name; use 1 to 253 letters, digits, dots, dashes \
             and underscores, the first one not a dot",
        ),
        (
            ("runsOn: [h2]", "runsOn: [h9]"),
            "line 30: workload `web`, field `runsOn`: there is no host `h9`; use one of h1, h2",
        ),
        (
            ("runsOn: [h2]", "runsOn: []"),
            "line 30: workload `web`, field `runsOn`: the list is empty; name the hosts that it runs on now",
        ),
        (
            ("allowedHosts: [h1, h2]", "allowedHosts: [h2]"),
            "line 23: workload `cart`, field `allowedHosts`: `h1` is in runsOn but not in allowedHosts; add it, or leave \
             allowedHosts out to allow every host",
        ),
        (
            ("{ h1: 8081, h2: 8082 }", "{ h1: 8081 }"),
            "line 23: workload `cart`, field `port`: there is no port from 1 to 65535 for host `h2`, where it may run; add \
             the port, or leave the host out of allowedHosts",
        ),
        (
            ("port: 9000", "port: 8081"),
            "line 30: workload `web`, field `port`: port 8081 on host `h1` is workload `cart`'s too; give each its own port, \
             or keep them apart with allowedHosts",
        ),
        (
            ("- name: web", "- name: web\n    service: cart.shop"),
            "line 30: workload `web`, field `service`: `cart.shop` is the service of workload `cart` too; give each workload \
             a service of its own",
        ),
        (
            ("ready: 2s", "ready: 0ms"),
            "hosts file, field `deadlines`: `ready` is 0 ms, which is not from 10 ms to 1 h; leave it out for the default",
        ),
    ];
    for ((from, to), want) in cases {
        assert!(EXAMPLE.contains(from), "{from}");
        let error = parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err().to_string();
        let separator = if want.starts_with("line") { ", " } else { ": " };
        assert_eq!(error, format!("/etc/foremesh/hosts.yaml{separator}{want}"), "{to}");
    }
}

#[test]
fn what_does_not_parse_is_placed_by_the_parser() {
    let cases = [
        (
            ("cordoned: true", "cordonned: true"),
            "hosts[1]: unknown field `cordonned`, expected one of `name`, `zone`, `address`, `capacity`, `memory`, \
             `labels`, `vm`, `costPerHour`, `cordoned`, `deadlines`, `environment`, `commands` at line 17 column 5",
        ),
        (
            ("capacity: 2000m", "capacity: two"),
            "hosts[0].capacity: invalid value: string \"two\", expected CPU in millicores, such as 2000m or 2000 for two \
             cores at line 5 column 15",
        ),
        (
            ("port: 9000", "port: 70000"),
            "workloads[1].port: invalid value: integer `70000`, expected a port from 1 to 65535, or a map from host to port \
             at line 31 column 11",
        ),
        (
            ("ready: 2s", "ready: soon"),
            "deadlines: `soon` is not a duration; write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d \
             at line 37 column 3",
        ),
    ];
    for ((from, to), want) in cases {
        let error = parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(error, format!("/etc/foremesh/hosts.yaml: {want}"), "{to}");
    }
}

/// The example with virtual machines, labels, memory, an environment and trials.
fn grown() -> String {
    EXAMPLE
        .replace("    zone: rack-a\n", "    vm: { of: metal-1 }\n    memory: 16Gi\n    labels: { disk: ssd }\n")
        .replace("    cordoned: true\n", "    vm: { of: metal-1 }\n    zone: rack-b\n    environment: { A: \"2\" }\n")
        .replace("start: [ssh, h1, systemctl, start, \"{workload}@{port}\"]", "start: [s, \"{instance}\", \"{port}\"]")
        .replace("stop: [ssh, h1, systemctl, stop, \"{workload}@{port}\"]", "stop: [s, \"{instance}\"]")
        .replace("      start: [start, \"{service}\"]", "      trial: {start: [s, \"{instance}\", \"{lives}\"], ready: [r, \"{port}\"], stop: [s, \"{instance}\"]}\n      start: [s]")
        .replace("    runsOn: [h1]\n    allowedHosts: [h1, h2]", "    runsOn: [h1]\n    requests: { cpu: 500m, memory: 512Mi }\n    hostLabels: { disk: ssd }")
        + "environment: { A: \"1\", B: \"{workload}\" }\npassEnvironment: [SSH_AUTH_SOCK]\nstaging: { ports: 19000, load: { maxCpuShare: 0.8 } }\n"
}

#[test]
fn a_grown_file_says_what_it_says() {
    let hosts = parse(&grown()).unwrap();
    let [h1, h2] = ["h1", "h2"].map(|name| &hosts.hosts[&NodeId::from(name)]);
    assert_eq!((&h1.zone, h1.memory_bytes), (&Some(Zone::from("metal-1")), Some(17_179_869_184.0)));
    assert_eq!(h2.zone, Some(Zone::from("rack-b")), "a zone that is given counts before the machine");
    assert_eq!([&h1.environment["A"], &h2.environment["A"], &h2.environment["B"]], ["1", "2", "{workload}"]);
    let cart = &hosts.workloads[&WorkloadId::from("cart")];
    assert_eq!(cart.allowed, BTreeSet::from([NodeId::from("h1")]), "only h1 has the label");
    assert_eq!(
        (cart.requests.cpu_millicores, cart.requests.memory_bytes),
        (Some(500.0), Some(536_870_912.0))
    );
    let staging = hosts.staging.as_ref().unwrap();
    assert_eq!(staging.ports[&NodeId::from("h2")], 19000);
    assert!((staging.load.limits().max_cpu_share - 0.8).abs() < 1e-9);
}

#[test]
fn what_does_not_fit_in_a_grown_file_is_refused() {
    let cases = [
        (
            ("stop: [s, \"{instance}\"]\n", "stop: [s, \"{port}\"]\n"),
            "field `staging`: `stop` of host `h1` would do the same for a copy as for the workload itself; use {instance} \
             and {port} in it, or write `commands.trial` for copies",
        ),
        (
            ("ports: 19000", "ports: 9000"),
            "field `staging.ports`: port 9000 on host `h1` is workload `web`'s; give copies a port of their own",
        ),
        (
            ("ports: 19000", "ports: {h1: 19000}"),
            "field `staging.ports`: there is no port from 1 to 65535 for host `h2`",
        ),
        (
            ("maxCpuShare: 0.8", "maxCpuShare: 8"),
            "field `staging.load`: `maxCpuShare` is 8, which is not above 0 and at most 1; leave it out for the default",
        ),
        (
            ("- name: web", "- name: cart-trial"),
            "a copy of `cart` would be called `cart-trial`, as another workload is",
        ),
        (
            ("hostLabels: { disk: ssd }", "hostLabels: { disk: tape }"),
            "field `hostLabels`: no host that it may run on has these",
        ),
        (
            ("labels: { disk: ssd }\n", "labels: { disk: hdd }\n"),
            "field `hostLabels`: no host that it may run on has these",
        ),
        (("{ A: \"1\",", "{ \"A=B\": \"1\","), "field `environment`: `A=B` is not the name of a variable"),
        (("B: \"{workload}\"", "B: \"{lives}\""), "field `environment`: `{lives}` is not a placeholder here"),
        (("memory: 16Gi", "memory: lots"), "expected memory in bytes, such as 16Gi, 512Mi or 2000000000"),
    ];
    for ((from, to), want) in cases {
        assert!(grown().contains(from), "{from}");
        let error = parse(&grown().replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(want), "{to}: {error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Hosts::read(Path::new("/nowhere/hosts.yaml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read hosts file /nowhere/hosts.yaml; check that it exists and may be read"
    );
}
