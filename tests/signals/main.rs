//! The `signals` level: real Prometheus, node-exporter and cAdvisor and the OpenTelemetry SDK of Python, against the
//! planner's own readers and its own store.
//!
//! It needs `prometheus`, `promtool`, `prometheus-node-exporter`, `openssl` and `ip` on PATH, `build/bin/cadvisor`, and
//! `build/otlp` with the SDK; `scripts/setup signals` brings them. Control groups and network
//! namespaces need root.
mod cgroup;
mod containers;
mod guard;
mod history;
mod kubelet;
mod live;
mod partial;
mod pushed;
mod rig;
mod secured;
mod wire;
