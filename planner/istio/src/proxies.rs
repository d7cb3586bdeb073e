//! Whether the proxies have what was written: the control plane is asked what it gave them, and what they acknowledged.
//!
//! A dump of one caller's configuration tells that the control plane has taken the write in, and in which version. Every
//! proxy that has acknowledged that version has it. One that was left out of that push, because it does not see the
//! host or because nothing changed for it, is asked for by itself.
mod dump;
mod sync;

use crate::{Host, IstioError, Reason, api::Api, objects::text};
use bytes::Bytes;
pub(crate) use dump::Expected;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::time::Duration;
use sync::{Kept, Proxy, Version};
use tokio::time::Instant;

/// Between the first two questions; twice as long between the next two.
const POLL: Duration = Duration::from_millis(50);
/// No longer than this: the answer has 2 KB for each proxy of the mesh.
const SLOWEST_POLL: Duration = Duration::from_millis(400);
/// One question.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A proxy that does not get the version counts when it has acknowledged all that was sent to it, so long after its dump
/// held what is expected: longer than the control plane holds back what comes one by one.
const SENT_WITHIN: Duration = Duration::from_secs(1);

/// Where the control plane is, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Namespace of istiod, and of the account.
    pub namespace: String,
    /// Labels of istiod's pods.
    pub labels: String,
    /// Port of its debug endpoints.
    pub port: u16,
    /// Service account in that namespace for which the planner may create tokens. It needs no rights of its own: istiod
    /// answers accounts of its namespace.
    pub account: String,
    /// Audience of the token.
    pub audience: String,
    /// How long the proxies have to take a write.
    pub within: Duration,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            namespace: "istio-system".to_owned(),
            labels: "app=istiod".to_owned(),
            port: 15014,
            account: "foremesh".to_owned(),
            audience: "istio-ca".to_owned(),
            within: Duration::from_secs(30),
        }
    }
}

/// Asks the control plane about its proxies.
#[derive(Clone)]
pub struct Proxies {
    api: Api,
    settings: ProxySettings,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Proxies {
    /// Through the pod network, with tokens from the API server.
    pub fn new(client: kube::Client, settings: ProxySettings) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { api: Api::new(client), settings, http }
    }

    /// Waits until every proxy has what is expected.
    ///
    /// # Errors
    /// When the control plane cannot be asked, or a proxy does not have it in time: the first few are named.
    pub(crate) async fn have(&self, host: &Host, expected: &Expected) -> Result<(), IstioError> {
        self.have_within(host, expected, self.settings.within).await
    }

    /// The same with less patience, or more.
    ///
    /// # Errors
    /// As [`Self::have`].
    pub(crate) async fn have_within(
        &self,
        host: &Host,
        expected: &Expected,
        within: Duration,
    ) -> Result<(), IstioError> {
        let settings = &self.settings;
        let token = self.api.token(&settings.namespace, &settings.account, &settings.audience).await?;
        let path = format!("/api/v1/namespaces/{}/pods", settings.namespace);
        let pods = self.api.list(&path, &settings.labels).await?;
        let addresses: Vec<&str> = pods
            .iter()
            .filter(|pod| crate::pods::is_ready(pod))
            .map(|pod| text(pod, "/status/podIP"))
            .filter(|address| !address.is_empty())
            .collect();
        if addresses.is_empty() {
            return Err(IstioError::new(
                Reason::Unreachable,
                format!("pods with {} in {}", settings.labels, settings.namespace),
                "none of them is ready",
                "say where istiod runs",
            ));
        }
        let began = Instant::now();
        for address in addresses {
            let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let control = Control { proxies: self, token: &token, address, within };
            control.settled(host, expected, began).await?;
        }
        tracing::debug!(
            host = host.full,
            ?expected,
            took_ms = began.elapsed().as_millis(),
            "proxies have it"
        );
        Ok(())
    }
}

/// One control plane.
struct Control<'a> {
    proxies: &'a Proxies,
    token: &'a str,
    address: String,
    within: Duration,
}

impl Control<'_> {
    async fn settled(&self, host: &Host, expected: &Expected, began: Instant) -> Result<(), IstioError> {
        let within = self.within;
        let (mut kept, mut poll) = (Kept::default(), POLL);
        let mut witness: Option<(String, Version)> = None;
        loop {
            let proxies = sync::read(&self.ask("syncz").await?);
            if witness.as_ref().is_some_and(|(id, _)| proxies.iter().all(|proxy| proxy.id != *id)) {
                witness = None;
            }
            let late = if witness.is_none() {
                self.witness(host, expected, &proxies, &mut witness).await?
            } else {
                Vec::new()
            };
            let late = match (&witness, late.is_empty()) {
                (Some((_, version)), _) => self.behind(host, expected, &proxies, version, &mut kept).await?,
                // Nobody calls the host.
                (None, true) => return Ok(()),
                (None, false) => late,
            };
            if late.is_empty() {
                return Ok(());
            }
            if began.elapsed() > within {
                return Err(self.too_late(host, expected, &late));
            }
            tokio::time::sleep(poll).await;
            poll = (poll * 2).min(SLOWEST_POLL);
        }
    }

    /// Finds a proxy that knows the host and is to get what is expected, with the version in which it is. Gives those
    /// that know the host and are not to get it yet.
    async fn witness(
        &self,
        host: &Host,
        expected: &Expected,
        proxies: &[Proxy],
        witness: &mut Option<(String, Version)>,
    ) -> Result<Vec<String>, IstioError> {
        for proxy in proxies {
            let Some(dump) = self.dump(&proxy.id, expected.types()).await? else { continue };
            match expected.met(&dump, host) {
                None => {}
                Some(false) => return Ok(vec![proxy.id.clone()]),
                Some(true) => {
                    // Read after: it is this version or a later one.
                    let whole = self.ask(&format!("config_dump?proxyID={}", proxy.id)).await?;
                    if let Some(version) = whole
                        .pointer("/configs")
                        .and_then(Value::as_array)
                        .and_then(|configs| configs.iter().find_map(|config| config["versionInfo"].as_str()))
                        .and_then(Version::of)
                    {
                        *witness = Some((proxy.id.clone(), version));
                    }
                    return Ok(vec![proxy.id.clone()]);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Proxies that do not have the version, nor what is expected.
    async fn behind(
        &self,
        host: &Host,
        expected: &Expected,
        proxies: &[Proxy],
        version: &Version,
        kept: &mut Kept,
    ) -> Result<Vec<String>, IstioError> {
        let mut late = Vec::new();
        for proxy in proxies {
            let state = expected.state(proxy);
            if state.has(version) && expected.by_version() {
                continue;
            }
            if kept.since(&proxy.id).is_none() {
                let dump = self.dump(&proxy.id, expected.types()).await?;
                match dump.as_ref().and_then(|dump| expected.met(dump, host)) {
                    // It does not know the host.
                    None => continue,
                    Some(false) => {
                        late.push(proxy.id.clone());
                        continue;
                    }
                    Some(true) => kept.begin(&proxy.id),
                }
            }
            // Whatever is sent to it from then on holds what is expected.
            if !state.acknowledged() || kept.since(&proxy.id).is_none_or(|since| since < SENT_WITHIN) {
                late.push(proxy.id.clone());
            }
        }
        Ok(late)
    }

    /// What a proxy is to have; `None` when it is gone.
    async fn dump(&self, proxy: &str, types: &str) -> Result<Option<Value>, IstioError> {
        match self.ask(&format!("config_dump?proxyID={proxy}&types={types}")).await {
            Ok(dump) => Ok(Some(dump)),
            Err(error) if error.problem.contains("404") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, what: &str) -> Result<Value, IstioError> {
        let url = format!("http://{}:{}/debug/{what}", self.address, self.proxies.settings.port);
        let settings = &self.proxies.settings;
        let failed = |problem: String| {
            let remedy = format!(
                "let the planner reach istiod's port {} over the pod network, as account {} of {}",
                settings.port, settings.account, settings.namespace
            );
            IstioError::new(Reason::Unreachable, url.clone(), problem, remedy)
        };
        let request = hyper::Request::get(&url)
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::new(Bytes::new()))
            .map_err(|error| failed(error.to_string()))?;
        let answer = async {
            let answer =
                self.proxies.http.request(request).await.map_err(|error| failed(error.to_string()))?;
            let status = answer.status();
            let body =
                answer.into_body().collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
            if !status.is_success() {
                return Err(failed(format!("it answers {status}")));
            }
            serde_json::from_slice(&body).map_err(|error| failed(format!("its answer is no JSON: {error}")))
        };
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(failed(format!("it did not answer within {ANSWER_WITHIN:?}"))),
        }
    }

    fn too_late(&self, host: &Host, expected: &Expected, late: &[String]) -> IstioError {
        let within = self.within;
        let some = late.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
        IstioError::new(
            Reason::NotPropagated,
            format!("{} of {}", expected.what(), host.full),
            format!("{} proxies do not have them after {within:?}, among them {some}", late.len()),
            "see `istioctl proxy-status`; a proxy that rejects its configuration says why in its log",
        )
    }
}
