//! The section `signals` of the settings file.
use crate::settings::Span;
use foremesh_core::gauge::GaugeMetric;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Shortest time between two reads of a source.
const LEAST_INTERVAL_MS: i64 = 100;

/// Sources of numbers beside the proxies and the platform. None by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SignalSettings {
    /// A Prometheus-compatible server.
    pub prometheus: Option<PrometheusSettings>,
    /// Node-exporters that are read directly.
    pub node_exporters: Vec<NodeExporterSettings>,
    /// Metrics that are pushed by OTLP.
    pub otlp: OtlpSettings,
}

/// A Prometheus-compatible server, and what its labels mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PrometheusSettings {
    /// Its address, the part before `/api/v1`.
    pub url: String,
    /// File with a bearer token, read again for every question; relative to the settings file.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// A name and a password instead.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Certificates (PEM) to trust beside those of the machine; relative to the settings file.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Time between two reads.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// Longest time for one answer.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How far back to read at the start.
    #[serde(default = "default_backfill")]
    pub backfill: Span,
    /// How long after its end a step is read, so that the scrapes of its last seconds are there.
    #[serde(default = "default_lag")]
    pub lag: Span,
    /// Window of rates and means: two scrapes at least; a longer `step` takes its place.
    #[serde(default = "default_rate_window")]
    pub rate_window: Span,
    /// Label that names the node.
    #[serde(default = "default_node_label")]
    pub node_label: String,
    /// Nodes by the value of that label, where it is not the node's name or address.
    #[serde(default)]
    pub nodes: BTreeMap<String, String>,
    /// Labels that name the workload.
    #[serde(default = "default_workload_labels")]
    pub workload_labels: Vec<String>,
    /// Workloads by the values of those labels, joined by `/`, where these do not make its name.
    #[serde(default)]
    pub workloads: BTreeMap<String, String>,
    /// PromQL that takes the place of the built-in one.
    #[serde(default)]
    pub queries: Queries,
}

/// A name and a password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BasicAuth {
    /// The name.
    pub username: String,
    /// File with the password; relative to the settings file.
    pub password_file: PathBuf,
}

/// PromQL by quantity (`cpu_used_millicores`, …); an empty text asks nothing. `$window` is the rate window.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Queries {
    /// For nodes; the answer's series have the node label.
    pub nodes: BTreeMap<GaugeMetric, String>,
    /// For workloads; the answer's series have the workload labels.
    pub workloads: BTreeMap<GaugeMetric, String>,
}

/// A node-exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeExporterSettings {
    /// The node that it runs on.
    pub node: String,
    /// Its address with the path, such as `http://10.0.0.7:9100/metrics`.
    pub url: String,
    /// Time between two reads.
    #[serde(default = "default_scrape_interval")]
    pub interval: Span,
    /// Longest time for one answer.
    #[serde(default = "default_scrape_timeout")]
    pub timeout: Span,
}

/// The receiver of OTLP metrics.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct OtlpSettings {
    /// Whether `POST /v1/metrics` is served.
    pub enabled: bool,
    /// Largest body, compressed or not.
    pub max_body_bytes: usize,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self { enabled: false, max_body_bytes: 4 << 20 }
    }
}

/// A value of the section that is outside its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`signals.{field}` is {value}, but must be {limit}; {remedy}")]
pub struct SignalSettingsError {
    /// The field.
    pub field: String,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub limit: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl SignalSettings {
    /// Makes relative paths start at a directory.
    pub(crate) fn rebase(&mut self, base: &Path) {
        let Some(prometheus) = &mut self.prometheus else { return };
        let files = prometheus.bearer_token_file.iter_mut().chain(&mut prometheus.ca_file);
        for file in files.chain(prometheus.basic_auth.as_mut().map(|basic| &mut basic.password_file)) {
            *file = base.join(&*file);
        }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// For the first value that is outside its limits.
    pub fn check(&self) -> Result<(), SignalSettingsError> {
        if let Some(prometheus) = &self.prometheus {
            prometheus.check()?;
        }
        let mut nodes = BTreeSet::new();
        for (place, exporter) in self.node_exporters.iter().enumerate() {
            let field = |name: &str| format!("nodeExporters[{place}].{name}");
            check_url(field("url"), &exporter.url)?;
            check_span(field("interval"), exporter.interval, LEAST_INTERVAL_MS)?;
            check_span(field("timeout"), exporter.timeout, LEAST_INTERVAL_MS)?;
            if exporter.interval.ms() > 60_000 {
                let limit = "60s or less";
                let remedy = "readings further apart leave gaps in the rates; 15s is usual";
                return refuse(field("interval"), exporter.interval.to_string(), limit, remedy);
            }
            if !nodes.insert(&exporter.node) {
                let remedy = "one exporter tells all of its node";
                return refuse(
                    field("node"),
                    exporter.node.clone(),
                    "a node that has no other exporter",
                    remedy,
                );
            }
        }
        if !(1 << 10..=256 << 20).contains(&self.otlp.max_body_bytes) {
            let value = self.otlp.max_body_bytes.to_string();
            return refuse(
                "otlp.maxBodyBytes".to_owned(),
                value,
                "from 1024 to 268435456",
                "4194304 suits most senders",
            );
        }
        Ok(())
    }
}

impl PrometheusSettings {
    fn check(&self) -> Result<(), SignalSettingsError> {
        let field = |name: &str| format!("prometheus.{name}");
        check_url(field("url"), &self.url)?;
        check_span(field("interval"), self.interval, LEAST_INTERVAL_MS)?;
        check_span(field("timeout"), self.timeout, LEAST_INTERVAL_MS)?;
        check_span(field("rateWindow"), self.rate_window, 1000)?;
        if self.bearer_token_file.is_some() && self.basic_auth.is_some() {
            let value = "given beside `basicAuth`".to_owned();
            return refuse(
                field("bearerTokenFile"),
                value,
                "the only credential",
                "leave one of the two out",
            );
        }
        for label in std::iter::once(&self.node_label).chain(&self.workload_labels) {
            let good =
                |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || at > 0 && c.is_ascii_digit();
            if label.is_empty() || !label.chars().enumerate().all(good) {
                let limit = "a label name: letters, digits and _, no digit first";
                return refuse(
                    field("nodeLabel or workloadLabels"),
                    format!("`{label}`"),
                    limit,
                    "write it as in PromQL",
                );
            }
        }
        if self.workload_labels.is_empty() {
            let limit = "one label at least";
            return refuse(
                field("workloadLabels"),
                "empty".to_owned(),
                limit,
                "[namespace, pod] suits Kubernetes",
            );
        }
        Ok(())
    }
}

fn refuse(
    field: String,
    value: String,
    limit: &'static str,
    remedy: &'static str,
) -> Result<(), SignalSettingsError> {
    Err(SignalSettingsError { field, value, limit, remedy })
}

fn check_url(field: String, url: &str) -> Result<(), SignalSettingsError> {
    let good =
        reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if good {
        return Ok(());
    }
    refuse(field, format!("`{url}`"), "an address of http or https", "write it as http://HOST:PORT")
}

fn check_span(field: String, span: Span, least_ms: i64) -> Result<(), SignalSettingsError> {
    if span.ms() >= least_ms {
        return Ok(());
    }
    refuse(field, span.to_string(), "100ms or more (rateWindow: 1s)", "leave it out for the default")
}

const fn default_interval() -> Span {
    Span::from_secs(30)
}

const fn default_timeout() -> Span {
    Span::from_secs(30)
}

const fn default_backfill() -> Span {
    Span::from_secs(48 * 3600)
}

const fn default_lag() -> Span {
    Span::from_secs(5)
}

const fn default_rate_window() -> Span {
    Span::from_secs(120)
}

fn default_node_label() -> String {
    "instance".to_owned()
}

fn default_workload_labels() -> Vec<String> {
    vec!["namespace".to_owned(), "pod".to_owned()]
}

const fn default_scrape_interval() -> Span {
    Span::from_secs(15)
}

const fn default_scrape_timeout() -> Span {
    Span::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(text: &str) -> String {
        let settings: SignalSettings = match yaml_serde::from_str(text) {
            Ok(settings) => settings,
            Err(error) => return error.to_string(),
        };
        settings.check().map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }

    #[test]
    fn each_bad_value_gets_one_clear_error() {
        for (name, text, want) in [
            ("nothing", "{}", "none"),
            (
                "all",
                "prometheus: {url: 'https://p/x', queries: {nodes: {cpu_used_millicores: 'up'}}}\n\
                 nodeExporters: [{node: a, url: 'http://a:9100/metrics'}]\notlp: {enabled: true}",
                "none",
            ),
            (
                "address",
                "prometheus: {url: 'p:9090'}",
                "`signals.prometheus.url` is `p:9090`, but must be an address",
            ),
            (
                "quantity",
                "prometheus: {url: 'http://p', queries: {nodes: {cpu: 'up'}}}",
                "unknown variant `cpu`",
            ),
            (
                "two credentials",
                "prometheus: {url: 'http://p', bearerTokenFile: t, basicAuth: {username: u, passwordFile: p}}",
                "must be the only credential",
            ),
            ("label", "prometheus: {url: 'http://p', nodeLabel: '1a'}", "`1a`, but must be a label name"),
            ("no label", "prometheus: {url: 'http://p', workloadLabels: []}", "must be one label at least"),
            (
                "slow",
                "nodeExporters: [{node: a, url: 'http://a', interval: 5m}]",
                "`signals.nodeExporters[0].interval` is 5m, but must be 60s or less",
            ),
            (
                "twice",
                "nodeExporters: [{node: a, url: 'http://a'}, {node: a, url: 'http://b'}]",
                "`signals.nodeExporters[1].node` is a, but must be a node that has no other",
            ),
            ("body", "otlp: {maxBodyBytes: 7}", "`signals.otlp.maxBodyBytes` is 7, but must be from 1024"),
        ] {
            let problem = problem_of(text);
            assert!(problem.contains(want), "case {name}: {problem}");
        }
    }
}
