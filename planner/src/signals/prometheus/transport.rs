//! HTTP with TLS: which authorities are trusted, and whether trust is what fails.
use super::error::PrometheusError;
use std::{error::Error, io, path::Path, time::Duration};

/// An HTTP client with the planner's TLS.
pub(in crate::signals) fn http_client(
    url: &str,
    timeout: Duration,
    ca_file: Option<&Path>,
) -> Result<reqwest::Client, PrometheusError> {
    // One TLS provider for the whole process; whoever comes first sets it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(5)))
        .user_agent(concat!("foremesh/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        let unusable = |problem: String| file_error(url, file, problem);
        let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("it has no certificate in PEM".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|source| PrometheusError::Client { url: url.to_owned(), source })
}

/// Whether TLS is the cause: the server runs then, and another remedy is needed.
pub(super) fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    // An IO error hides what it wraps from `source`, and may wrap another one.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_of_tls(wrapped))
        || error.source().is_some_and(is_of_tls)
}

pub(super) fn file_error(url: &str, path: &Path, problem: String) -> PrometheusError {
    PrometheusError::File { url: url.to_owned(), path: path.to_owned(), problem }
}
