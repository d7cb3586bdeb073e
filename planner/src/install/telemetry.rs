//! The object that puts the filter into sidecars, in each of the forms that versions of Istio know.
use clap::ValueEnum;
use serde_json::{Value, json};

/// How Istio is told to load the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TelemetryApi {
    /// Istio 1.30 and later.
    TrafficExtension,
    /// Istio 1.12 and later, deprecated since 1.30.
    WasmPlugin,
    /// Any version: written into the configuration of the proxies itself. A proxy fetches the module by itself, and when it
    /// cannot, only a change of this object makes it try again.
    EnvoyFilter,
}

/// What the filter in a sidecar is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Host name of the planner in the mesh.
    pub planner: String,
    /// Its port, for summaries.
    pub port: u16,
    /// Its port that gives the module in plain text: the agent beside a proxy fetches it, without the proxy's identity.
    pub module_port: u16,
    /// SHA-256 of the module: another module is another object, so that sidecars fetch it.
    pub digest: String,
    /// Length of a window in milliseconds.
    pub interval_ms: i64,
}

const NAME: &str = "foremesh";

impl Telemetry {
    /// The object for the sidecars of a namespace; in the mesh's root namespace it is for all.
    ///
    /// Whatever happens to the filter, requests pass: it fails open.
    pub fn object(&self, api: TelemetryApi, namespace: &str) -> Value {
        let (version, kind, spec) = match api {
            TelemetryApi::TrafficExtension => (
                "extensions.istio.io/v1alpha1",
                "TrafficExtension",
                json!({"phase": "STATS", "match": [{"mode": "CLIENT_AND_SERVER"}], "wasm": self.plugin()}),
            ),
            TelemetryApi::WasmPlugin => {
                let mut spec = self.plugin();
                spec["phase"] = json!("STATS");
                spec["match"] = json!([{"mode": "CLIENT_AND_SERVER"}]);
                ("extensions.istio.io/v1alpha1", "WasmPlugin", spec)
            }
            TelemetryApi::EnvoyFilter => ("networking.istio.io/v1alpha3", "EnvoyFilter", self.patches()),
        };
        json!({
            "apiVersion": version,
            "kind": kind,
            "metadata": {
                "name": NAME,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": NAME, "app.kubernetes.io/component": "telemetry"}
            },
            "spec": spec
        })
    }

    fn url(&self, port: u16) -> String {
        format!("http://{}:{port}{}", self.planner, crate::filter_module::MODULE_PATH)
    }

    /// The proxies' own name of the planner.
    fn cluster(&self) -> String {
        format!("outbound|{}||{}", self.port, self.planner)
    }

    fn settings(&self) -> Value {
        json!({"planner": self.cluster(), "interval_ms": self.interval_ms})
    }

    fn plugin(&self) -> Value {
        json!({
            "url": self.url(self.module_port),
            "sha256": self.digest,
            "type": "HTTP",
            "pluginName": NAME,
            "failStrategy": "FAIL_OPEN",
            "pluginConfig": self.settings()
        })
    }

    fn patches(&self) -> Value {
        let filter = json!({
            "name": NAME,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": NAME,
                    "root_id": NAME,
                    "failure_policy": "FAIL_OPEN",
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": self.settings().to_string()
                    },
                    "vm_config": {
                        "vm_id": NAME,
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"remote": {
                            "http_uri": {"uri": self.url(self.port), "cluster": self.cluster(), "timeout": "10s"},
                            "sha256": self.digest,
                            "retry_policy": {"num_retries": 30, "retry_back_off": {"base_interval": "1s", "max_interval": "30s"}}
                        }}
                    }
                }
            }
        });
        let patch = |context: &str| {
            json!({
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": context,
                    "listener": {"filterChain": {"filter": {
                        "name": "envoy.filters.network.http_connection_manager",
                        "subFilter": {"name": "envoy.filters.http.router"}
                    }}}
                },
                "patch": {"operation": "INSERT_BEFORE", "value": filter}
            })
        };
        json!({"configPatches": [patch("SIDECAR_INBOUND"), patch("SIDECAR_OUTBOUND"), patch("GATEWAY")]})
    }
}
