//! The `signals` level: real Prometheus, real node-exporter and the OpenTelemetry SDK of Python, against the planner's own
//! readers and its own store.
//!
//! It needs `prometheus`, `promtool` and `prometheus-node-exporter` on PATH, and `build/otlp` with the SDK; `scripts/setup
//! signals` brings them.
mod history;
mod live;
mod pushed;
mod rig;
