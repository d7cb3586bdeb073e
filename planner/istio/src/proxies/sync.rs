//! What was sent to each proxy, and what it acknowledged.
use crate::objects::text;
use serde_json::Value;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Length of the identifier that follows the version in a nonce.
const UUID: usize = 36;

/// Version of a push: the second in which it began, and its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(String, u64);

impl Version {
    /// Reads `TIME/NUMBER`.
    pub(super) fn of(version: &str) -> Option<Self> {
        let (time, number) = version.rsplit_once('/')?;
        Some(Self(time.to_owned(), number.parse().ok()?))
    }

    /// Reads a nonce, which is a version and an identifier.
    fn of_nonce(nonce: &str) -> Option<Self> {
        Self::of(nonce.get(..nonce.len().checked_sub(UUID)?)?)
    }
}

/// A kind of configuration of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    sent: String,
    acked: String,
}

impl State {
    pub(super) fn acknowledged(&self) -> bool {
        self.sent == self.acked
    }

    /// Whether it has a version, or a later one.
    pub(super) fn has(&self, version: &Version) -> bool {
        self.acknowledged() && Version::of_nonce(&self.acked).is_some_and(|acked| acked >= *version)
    }
}

/// A proxy that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(super) id: String,
    pub(super) clusters: State,
    pub(super) endpoints: State,
    pub(super) routes: State,
}

/// Reads `/debug/syncz`.
pub(super) fn read(answer: &Value) -> Vec<Proxy> {
    let proxies = answer.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(|proxy| {
        let state = |kind: &str| State {
            sent: text(proxy, &format!("/{kind}_sent")).to_owned(),
            acked: text(proxy, &format!("/{kind}_acked")).to_owned(),
        };
        Proxy {
            id: text(proxy, "/proxy").to_owned(),
            clusters: state("cluster"),
            endpoints: state("endpoint"),
            routes: state("route"),
        }
    });
    proxies.collect()
}

/// Since when proxies are known to be given what is expected.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<String, Instant>);

impl Kept {
    pub(super) fn since(&self, proxy: &str) -> Option<Duration> {
        self.0.get(proxy).map(Instant::elapsed)
    }

    pub(super) fn begin(&mut self, proxy: &str) {
        self.0.insert(proxy.to_owned(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_time_and_number() {
        let nonce = "2026-01-02T03:04:05Z/491e161c548-97af-4af0-b642-030cadb29ecd";
        let version = Version::of_nonce(nonce).unwrap();
        assert_eq!(version, Version("2026-01-02T03:04:05Z".to_owned(), 491));
        assert!(version > Version::of("2026-01-02T03:04:05Z/99").unwrap());
        assert!(version < Version::of("2026-01-02T03:04:06Z/1").unwrap());
        assert_eq!(Version::of_nonce("short"), None);
        let state = State { sent: nonce.to_owned(), acked: nonce.to_owned() };
        assert!(state.has(&version));
        assert!(!State { acked: String::new(), ..state }.has(&version));
    }
}
