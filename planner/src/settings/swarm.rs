//! A Docker Swarm as the platform: `platform.swarm`.
use super::Span;
use crate::endpoints::ads::AdsSettings;
use foremesh_swarm::{ClientSettings, Endpoint, RelocateSettings, Tls};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::path::PathBuf;

/// How a Swarm is reached, and how its tasks are moved.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SwarmSettings {
    /// The dockerd of a manager: `unix:///PATH` or `tcp://HOST:PORT`.
    #[serde(deserialize_with = "endpoint")]
    pub endpoint: Endpoint,
    /// Certificates for TCP with TLS; the paths are relative to the settings file.
    pub tls: Option<SwarmTls>,
    /// Directory of the endpoint files; relative to the settings file. That of the state, `endpoints`, when left out.
    pub eds_directory: Option<PathBuf>,
    /// Where endpoints are served to Envoys that have no such directory.
    pub ads: Option<AdsSettings>,
    /// Port in the names of the Envoys' clusters, `outbound|PORT||SERVICE`.
    pub cluster_port: u16,
    /// How long one answer of dockerd may take.
    pub deadline: Span,
    /// How often is looked where tasks run; events of the Swarm are heard at once.
    pub poll: Span,
    /// How long a new task may take until it runs and is healthy.
    pub start_within: Span,
    /// Time in which the traffic goes from the task that stood in to the one that stays.
    pub hand_over: Span,
    /// How long a task without traffic goes on, for the requests that it still has.
    pub drain: Span,
}

/// Certificates for a dockerd with `--tlsverify`, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SwarmTls {
    /// Who signed the certificate of dockerd.
    pub ca: PathBuf,
    /// The planner's own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Default for SwarmSettings {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Unix("/var/run/docker.sock".into()),
            tls: None,
            eds_directory: None,
            ads: None,
            cluster_port: 80,
            deadline: Span::from_secs(10),
            poll: Span::from_secs(2),
            start_within: Span::from_secs(90),
            hand_over: Span::from_secs(5),
            drain: Span::from_secs(3),
        }
    }
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Endpoint, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl SwarmSettings {
    /// As the client of dockerd takes them.
    pub fn client(&self) -> ClientSettings {
        let tls = self.tls.as_ref().map(|tls| Tls {
            ca: tls.ca.clone(),
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
        });
        ClientSettings {
            tls,
            deadline: self.deadline.duration(),
            ..ClientSettings::new(self.endpoint.clone())
        }
    }

    /// As moves take them.
    pub fn relocate(&self) -> RelocateSettings {
        RelocateSettings { start_within: self.start_within.duration(), ..RelocateSettings::default() }
    }

    /// Paths that start at the directory of the settings file.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.ca, &mut tls.certificate, &mut tls.key]);
        self.eds_directory.iter_mut().chain(tls)
    }

    /// What cannot be: field, value, limit and remedy.
    pub(super) fn problem(&self) -> Option<(&'static str, String, &'static str, &'static str)> {
        let least = |field, value: Span, limit, ms, remedy| {
            (value.ms() < ms).then(|| (field, value.to_string(), limit, remedy))
        };
        least("platform.swarm.deadline", self.deadline, "100ms or more", 100, "leave it out for 10s")
            .or_else(|| least("platform.swarm.poll", self.poll, "100ms or more", 100, "leave it out for 2s"))
            .or_else(|| {
                let field = "platform.swarm.startWithin";
                least(field, self.start_within, "1s or more", 1_000, "leave it out for 90s")
            })
    }
}
