//! The `signals` level: real Prometheus, node-exporter and cAdvisor and the OpenTelemetry SDK of Python, against the
//! planner's own readers and its own store.
//!
//! It needs `prometheus`, `promtool`, `prometheus-node-exporter` and `openssl` on PATH, `build/bin/cadvisor`, and
//! `build/otlp` with the SDK; `scripts/setup signals` brings them. Control groups need root.
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
