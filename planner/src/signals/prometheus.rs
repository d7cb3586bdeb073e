//! The HTTP API that Prometheus defined and Thanos, Mimir and VictoriaMetrics speak.
//!
//! [`PrometheusClient`] asks; it knows the server's limits and cuts a long range into pieces that fit. It decides
//! nothing about what the numbers mean: `queries` and `mapping` do, and `source` reads.
mod answer;
mod backfill;
mod client;
mod error;
mod mapping;
mod queries;
mod range;
mod source;
mod transport;

pub use answer::{Answer, PromSeries};
pub use client::{Auth, ClientSettings, PrometheusClient};
pub use error::PrometheusError;
pub(super) use mapping::owner_of;
pub(super) use source::PrometheusSource;
pub(super) use transport::http_client;

use super::settings::PrometheusSettings;

/// How the settings want a server to be asked.
pub(super) fn client(settings: &PrometheusSettings) -> Result<PrometheusClient, PrometheusError> {
    let auth = match (&settings.bearer_token_file, &settings.basic_auth) {
        (Some(file), _) => Auth::BearerFile(file.clone()),
        (None, Some(basic)) => {
            Auth::Basic { username: basic.username.clone(), password_file: basic.password_file.clone() }
        }
        (None, None) => Auth::None,
    };
    let how = ClientSettings {
        auth,
        ca_file: settings.ca_file.clone(),
        timeout: settings.timeout.duration(),
        ..ClientSettings::default()
    };
    PrometheusClient::new(&settings.url, how)
}
