//! Client of Envoy's admin interface.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::http::{self, Answer, HttpError};

/// How long one question to the admin interface may take; it answers from memory in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The admin interface of one Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admin {
    address: SocketAddr,
}

/// Why the admin interface gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No answer at all.
    #[error("Envoy's admin interface gave no answer to `{path}`")]
    Http {
        /// What was asked.
        path: String,
        /// Why there is no answer.
        #[source]
        source: HttpError,
    },
    /// An answer that is not a success.
    #[error("Envoy's admin interface answered `{path}` with status {status}: {body}")]
    Refused {
        /// What was asked.
        path: String,
        /// HTTP status.
        status: u16,
        /// What Envoy said.
        body: String,
    },
}

impl Admin {
    /// The admin interface on a port of loopback.
    pub fn new(port: u16) -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    /// Where the interface listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether Envoy serves: `false` while it starts or ends, or when nobody answers.
    pub async fn is_ready(&self) -> bool {
        self.get("/ready").await.is_ok()
    }

    /// All counters and gauges.
    pub async fn stats(&self) -> Result<Stats, AdminError> {
        Ok(Stats::parse(&self.get("/stats").await?))
    }

    /// One counter or gauge by its full name, such as `http.outbound.downstream_rq_total`; `None` if there is none.
    pub async fn counter(&self, name: &str) -> Result<Option<u64>, AdminError> {
        Ok(self.stats().await?.get(name))
    }

    /// Answers to a path of the interface.
    pub async fn get(&self, path: &str) -> Result<String, AdminError> {
        self.ask("GET", path).await
    }

    /// Asks clients of inbound listeners to leave (`connection: close`), while requests are still served.
    pub async fn drain_inbound(&self) -> Result<(), AdminError> {
        self.ask("POST", "/drain_listeners?inboundonly&graceful").await.map(drop)
    }

    /// The same for all listeners.
    pub async fn drain_all(&self) -> Result<(), AdminError> {
        self.ask("POST", "/drain_listeners?graceful").await.map(drop)
    }

    async fn ask(&self, method: &str, path: &str) -> Result<String, AdminError> {
        let answer = http::request(self.address, method, path, PATIENCE).await;
        let answer = answer.map_err(|source| AdminError::Http { path: path.to_owned(), source })?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        let Answer { status, body } = answer;
        Err(AdminError::Refused { path: path.to_owned(), status, body })
    }
}

/// Counters and gauges at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    values: BTreeMap<String, u64>,
}

impl Stats {
    /// Reads the text of `/stats`; lines without a whole number (histograms, texts) are left out.
    ///
    /// The value stands after the *last* `": "`, because names may hold colons.
    pub fn parse(text: &str) -> Self {
        let values = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        });
        Self { values: values.collect() }
    }

    /// One value by its full name.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.values.get(name).copied()
    }

    /// All names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read_by_name() {
        let text = "cluster.outbound|80||shop.upstream_rq_total: 120\n\
                    cluster.a: b.upstream_cx_active: 3\n\
                    http.outbound.downstream_rq_time: P0(nan,1) P50(nan,2.05)\n\
                    server.version: \"1.40\"\n\
                    server.live: 1\n";
        let stats = Stats::parse(text);
        let cases = [
            ("cluster.outbound|80||shop.upstream_rq_total", Some(120)),
            ("cluster.a: b.upstream_cx_active", Some(3)),
            ("http.outbound.downstream_rq_time", None),
            ("server.version", None),
            ("server.live", Some(1)),
            ("absent", None),
        ];
        for (name, want) in cases {
            assert_eq!(stats.get(name), want, "counter `{name}`");
        }
        assert_eq!(stats.iter().count(), 3);
    }
}
