//! An Envoy with the built filter and many routes.
//!
//! The configurations of `envoy-config/` have one route to one service; the tests need routes that fail in every way
//! and delivery of the filter's configuration by a file, so theirs are made here.
use crate::place::{self, Place};
use foremesh_demo::envoy::{EnvoyError, EnvoyOptions, EnvoyProcess, Stats};
use foremesh_demo::free_ports;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an Envoy may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// Starts with other ports when one was taken between its choice and its use.
const STARTS: usize = 3;
/// Type of the filter's configuration.
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// Which build of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The one that is shipped.
    Filter,
    /// The one that traps on the route `trap`.
    Trapping,
}

impl Module {
    /// The built file.
    ///
    /// # Panics
    /// When it is not built, with the remedy.
    pub fn path(self) -> PathBuf {
        match self {
            Self::Filter => place::module("foremesh_filter.wasm", "scripts/build-filter"),
            Self::Trapping => {
                place::module("foremesh_filter_trap.wasm", "scripts/build-filter --variant trap")
            }
        }
    }
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a server of the own workload.
    Service(SocketAddr),
    /// To a server that has this many milliseconds to answer.
    Hurried(SocketAddr, u64),
    /// To a cluster that has no endpoint.
    NoEndpoints,
    /// Nowhere: the proxy answers with this status.
    Direct(u16),
}

/// One route of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Name, by which the filter tells it apart.
    pub name: String,
    /// Path, matched exactly.
    pub path: String,
    /// Where it leads.
    pub target: Target,
}

impl Route {
    /// A route.
    pub fn new(name: &str, path: &str, target: Target) -> Self {
        Self { name: name.to_owned(), path: path.to_owned(), target }
    }

    /// As many routes to a server as asked for, named `route-0`, `route-1` and so on.
    pub fn many(count: usize, server: SocketAddr) -> Vec<Self> {
        let route = |n| Self::new(&format!("route-{n}"), &format!("/route/{n}"), Target::Service(server));
        (0..count).map(route).collect()
    }
}

/// How the filter's configuration comes to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// With the listener.
    Fixed,
    /// By extension config discovery from a file, which [`Proxy::reconfigure`] replaces.
    Discovered,
}

/// A proxy to start.
#[derive(Clone, Debug)]
pub struct ProxySpec {
    /// Name of the replica.
    pub name: String,
    /// Workload that it is the proxy of.
    pub workload: String,
    /// Routes, asked in this order.
    pub routes: Vec<Route>,
    /// Which filter.
    pub module: Module,
    /// How its configuration comes.
    pub delivery: Delivery,
    /// Where summaries go.
    pub planner: SocketAddr,
    /// Milliseconds between summaries.
    pub interval_ms: u64,
    /// Worker threads.
    pub workers: u32,
    /// Seconds of a graceful drain.
    pub drain_seconds: u32,
}

impl ProxySpec {
    /// Two workers, a summary each second.
    pub fn new(name: &str, routes: Vec<Route>, planner: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            workload: "shop".to_owned(),
            routes,
            module: Module::Filter,
            delivery: Delivery::Fixed,
            planner,
            interval_ms: 1000,
            workers: 2,
            drain_seconds: 3,
        }
    }

    /// Configuration of the plugin, with further settings.
    fn plugin(&self, more: &Value) -> Value {
        let mut plugin = json!({
            "planner": "foremesh-planner",
            "interval_ms": self.interval_ms,
            "proxy": {"workload": self.workload, "pod": self.name, "node": "host-1", "zone": "zone-1"},
        });
        for (name, value) in more.as_object().expect("settings are an object") {
            plugin[name] = value.clone();
        }
        plugin
    }

    /// As shipped: `fail_open`, because `failure_policy` fails requests that are in flight when the filter traps.
    fn filter(&self, more: &Value) -> Value {
        json!({"@type": WASM, "config": {
            "name": "foremesh",
            "root_id": "foremesh",
            "fail_open": true,
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": self.module.path()}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": self.plugin(more).to_string(),
            },
        }})
    }

    fn http_filter(&self, discovery: &Path) -> Value {
        match self.delivery {
            Delivery::Fixed => json!({"name": "foremesh", "typed_config": self.filter(&json!({}))}),
            Delivery::Discovered => json!({"name": "foremesh", "config_discovery": {
                "config_source": {"path_config_source": {"path": discovery}, "resource_api_version": "V3"},
                "type_urls": [WASM],
            }}),
        }
    }

    fn config(&self, listen: SocketAddr, admin_port: u16, discovery: &Path) -> Value {
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "inbound",
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"], "routes": self.routes.iter().map(route).collect::<Vec<_>>(),
            }]},
            "http_filters": [
                self.http_filter(discovery),
                {"name": "envoy.filters.http.router", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                }},
            ],
        });
        let clusters = self.routes.iter().filter_map(cluster);
        json!({
            "node": {"id": self.name, "cluster": self.workload},
            "admin": {"address": socket(SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port)))},
            "static_resources": {
                "listeners": [{
                    "name": "inbound",
                    "traffic_direction": "INBOUND",
                    "address": socket(listen),
                    // Every worker gets its share, however few connections there are.
                    "connection_balance_config": {"exact_balance": {}},
                    "filter_chains": [{"filters": [
                        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
                    ]}],
                }],
                "clusters": clusters.chain([endpoints("foremesh-planner", Some(self.planner))]).collect::<Vec<_>>(),
            },
        })
    }
}

/// Name of a route's cluster: of the own workload, which the filter takes as the callee.
fn cluster_name(route: &Route) -> String {
    format!("inbound|80|{}|", route.name)
}

fn route(route: &Route) -> Value {
    let mut config = json!({"name": route.name, "match": {"path": route.path}});
    match route.target {
        Target::Service(_) | Target::NoEndpoints => {
            config["route"] = json!({"cluster": cluster_name(route), "timeout": "30s"});
        }
        Target::Hurried(_, ms) => {
            let timeout = format!("{}s", ms as f64 / 1e3);
            config["route"] = json!({"cluster": cluster_name(route), "timeout": timeout});
        }
        Target::Direct(status) => {
            config["direct_response"] = json!({"status": status, "body": {"inline_string": "ok"}});
        }
    }
    config
}

fn cluster(route: &Route) -> Option<Value> {
    match route.target {
        Target::Service(address) | Target::Hurried(address, _) => {
            Some(endpoints(&cluster_name(route), Some(address)))
        }
        Target::NoEndpoints => Some(endpoints(&cluster_name(route), None)),
        Target::Direct(_) => None,
    }
}

fn endpoints(name: &str, endpoint: Option<SocketAddr>) -> Value {
    let endpoints: Vec<Value> =
        endpoint.iter().map(|address| json!({"endpoint": {"address": socket(*address)}})).collect();
    // The limits are far away, so that a slow second of the machine fails no request.
    let limits =
        json!({"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000});
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// A running proxy; dropping it kills it.
#[derive(Debug)]
pub struct Proxy {
    spec: ProxySpec,
    address: SocketAddr,
    discovery: PathBuf,
    versions: u64,
    /// The process.
    pub envoy: EnvoyProcess,
}

impl Proxy {
    /// Starts a proxy and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn start(place: &Place, spec: ProxySpec) -> Self {
        let discovery = place.directory().join(format!("{}-discovery.json", spec.name));
        if spec.delivery == Delivery::Discovered {
            publish(&discovery, 1, &spec.filter(&json!({})));
        }
        for _ in 1..STARTS {
            if let Ok(proxy) = Self::try_start(place, &spec, &discovery).await {
                return proxy;
            }
        }
        Self::try_start(place, &spec, &discovery).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_start(place: &Place, spec: &ProxySpec, discovery: &Path) -> Result<Self, EnvoyError> {
        let ports = free_ports(2).expect("loopback has free ports");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
        let options = EnvoyOptions {
            concurrency: spec.workers,
            drain_seconds: spec.drain_seconds,
            ..EnvoyOptions::new(&spec.name, place.envoy(), place.directory(), ports[1])
        };
        let config = spec.config(address, ports[1], discovery).to_string();
        let mut envoy = EnvoyProcess::start(&config, &options).await?;
        envoy.wait_until_ready(READY).await?;
        Ok(Self { spec: spec.clone(), address, discovery: discovery.to_owned(), versions: 1, envoy })
    }

    /// Where it accepts requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The paths of all routes.
    pub fn paths(&self) -> Vec<String> {
        self.spec.routes.iter().map(|route| route.path.clone()).collect()
    }

    /// Its counters.
    pub async fn stats(&self) -> Stats {
        self.envoy.admin().stats().await.expect("the admin interface answers")
    }

    /// Requests that the proxy counted: begun, finished, and answered with 2xx.
    pub async fn requests(&self) -> [u64; 3] {
        let stats = self.stats().await;
        ["total", "completed", "2xx"]
            .map(|name| stats.get(&format!("http.inbound.downstream_rq_{name}")).unwrap_or_default())
    }

    /// Replaces the filter's configuration by one with further settings, and waits until the proxy has taken it.
    pub async fn reconfigure(&mut self, more: &Value) {
        const RELOADS: &str = "extension_config_discovery.http_filter.foremesh.config_reload";
        self.versions += 1;
        let wanted = self.versions;
        publish(&self.discovery, wanted, &self.spec.filter(more));
        let proxy = &*self;
        let reloaded = async || {
            let reloads = proxy.stats().await.get(RELOADS).unwrap_or_default();
            if reloads >= wanted { Ok(()) } else { Err(format!("{RELOADS} is {reloads}, not {wanted}")) }
        };
        crate::until("the new configuration", READY, reloaded).await;
    }

    /// Memory of the process, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let id = self.envoy.id().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process runs");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells VmRSS");
        line.trim().trim_end_matches("kB").trim().parse().expect("VmRSS is a number")
    }
}

/// Replaces the file in one step: the proxy watches for a file that is moved to the name.
fn publish(path: &Path, version: u64, filter: &Value) {
    let response = json!({"version_info": version.to_string(), "resources": [{
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "foremesh",
        "typed_config": filter,
    }]});
    let new = path.with_extension("new");
    std::fs::write(&new, response.to_string()).expect("the directory of the test can be written");
    std::fs::rename(&new, path).expect("the directory of the test can be written");
}
