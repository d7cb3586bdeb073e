//! Reading a feed over HTTP: within a deadline and a size, and only when it has changed.
use reqwest::{StatusCode, header};
use std::{sync::OnceLock, time::Duration};

/// What a feed may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Longest time for the whole answer.
    pub timeout: Duration,
    /// Longest answer in bytes, after decompression.
    pub max_bytes: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(20), max_bytes: super::files::MAX_TEXT_BYTES }
    }
}

/// What a server said of the text that it gave, to be asked with the next time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// An answer that is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The text is still the same.
    Unchanged,
    /// The text now.
    Text(String, Validators),
}

/// Why a feed could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("HTTPS cannot be used on this machine")]
    Client(#[source] reqwest::Error),
    #[error("its address is not one; write it as http://HOST/PATH or https://HOST/PATH")]
    Address,
    #[error("it did not answer within {:.1} s", .0.as_secs_f64())]
    TooSlow(Duration),
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is longer than {0} bytes")]
    TooLarge(usize),
    #[error("its answer is not UTF-8 text")]
    NotText,
}

/// Reads feeds; the connections are shared.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    client: OnceLock<reqwest::Client>,
    limits: FetchLimits,
}

impl Fetcher {
    pub(super) fn new(limits: FetchLimits) -> Self {
        Self { client: OnceLock::new(), limits }
    }

    /// Made at the first use, because a planner without such feeds needs none.
    fn client(&self) -> Result<&reqwest::Client, FetchError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // One TLS provider for the whole process; whoever comes first sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("foremesh/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::limited(5))
            .build()
            .map_err(FetchError::Client)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Asks for the text, unless it is the one that `known` is of.
    pub(super) async fn fetch(&self, url: &str, known: &Validators) -> Result<Fetched, FetchError> {
        let timeout = self.limits.timeout;
        tokio::time::timeout(timeout, self.ask(url, known)).await.map_err(|_| FetchError::TooSlow(timeout))?
    }

    async fn ask(&self, url: &str, known: &Validators) -> Result<Fetched, FetchError> {
        // Feeds carry their secret in the address, so that it must not get into logs.
        let address: reqwest::Url = url.parse().map_err(|_| FetchError::Address)?;
        if !matches!(address.scheme(), "http" | "https") {
            return Err(FetchError::Address);
        }
        let mut request = self.client()?.get(address);
        for (name, value) in
            [(header::IF_NONE_MATCH, &known.etag), (header::IF_MODIFIED_SINCE, &known.last_modified)]
        {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let unreachable = |error: reqwest::Error| FetchError::Unreachable(error.without_url());
        let mut answer = request.send().await.map_err(unreachable)?;
        if answer.status() == StatusCode::NOT_MODIFIED && *known != Validators::default() {
            return Ok(Fetched::Unchanged);
        }
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let said = |name| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let validators = Validators { etag: said(header::ETAG), last_modified: said(header::LAST_MODIFIED) };
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > self.limits.max_bytes {
                return Err(FetchError::TooLarge(self.limits.max_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(body).map_err(|_| FetchError::NotText)?;
        Ok(Fetched::Text(text, validators))
    }
}
