//! The HTTP API that Prometheus defined and Thanos, Mimir and VictoriaMetrics speak.
//!
//! [`PrometheusClient`] asks; it knows the server's limits and cuts a long range into pieces that fit. It decides
//! nothing about what the numbers mean.
mod answer;
mod client;
mod error;
mod range;

pub use answer::{Answer, PromSeries};
pub use client::{Auth, ClientSettings, PrometheusClient};
pub use error::PrometheusError;
