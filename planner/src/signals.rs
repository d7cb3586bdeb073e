//! Numbers that others measure: a Prometheus-compatible server, node-exporters, and what is pushed by OTLP.
//!
//! Every reading keeps its source, and every source its age. A source that fails never stops the planner: the failure
//! is counted and shown, and the age of its newest number grows.
pub mod prometheus;
