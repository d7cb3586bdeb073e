//! A node-exporter that is read directly, for nodes that no Prometheus watches.
mod exposition;
mod quantities;

pub(super) use quantities::{is_disk, is_network, left_out_devices};

use super::rates::Rates;
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use foremesh_core::{
    ids::NodeId,
    time::{Step, Timestamp},
};
use quantities::Part;
use std::{collections::BTreeMap, time::Duration};

/// Largest answer that is read; a node with a thousand devices answers with about 1 MB.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Why a node-exporter could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// Nobody answers, or too slowly.
    #[error(
        "the node-exporter at {url} does not answer within {timeout_ms} ms; check that it runs and can be reached from here"
    )]
    Unreachable {
        /// Its address.
        url: String,
        /// The time that it had.
        timeout_ms: u128,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// It answers with something else.
    #[error(
        "the node-exporter at {url} answered {problem}; check the address, which usually ends in :9100/metrics"
    )]
    Answer {
        /// Its address.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// One node-exporter, and what its counters said before.
#[derive(Debug)]
pub(super) struct NodeExporter {
    node: NodeId,
    url: String,
    timeout: Duration,
    http: reqwest::Client,
    rates: Rates,
}

impl NodeExporter {
    pub(super) fn new(
        node: NodeId,
        url: String,
        timeout: Duration,
        http: reqwest::Client,
        step: Step,
    ) -> Self {
        Self { node, url, timeout, http, rates: Rates::new(step, GaugeSource::NodeExporter) }
    }

    /// Reads it once: levels as of now, and rates of the steps that are complete by now.
    pub(super) async fn scrape(&mut self, clock: &crate::clock::Clock) -> Result<Vec<Gauge>, ScrapeError> {
        let text = self.fetch().await?;
        // The moment that the answer was there is nearer to the reading than that of the question.
        self.gauges(&text, clock.now())
    }

    async fn fetch(&self) -> Result<String, ScrapeError> {
        let wrong = |problem: String| ScrapeError::Answer { url: self.url.clone(), problem };
        let unreachable = |error: reqwest::Error| ScrapeError::Unreachable {
            url: self.url.clone(),
            timeout_ms: self.timeout.as_millis(),
            source: error.without_url(),
        };
        let request =
            self.http.get(&self.url).header("accept", "text/plain;version=0.0.4").timeout(self.timeout);
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(wrong(response.status().to_string()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(wrong(format!("more than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| wrong("something that is not text".to_owned()))
    }

    fn gauges(&mut self, text: &str, at: Timestamp) -> Result<Vec<Gauge>, ScrapeError> {
        let (samples, bad) = exposition::parse(text);
        let subject = GaugeSubject::Node(self.node.clone());
        let mut measured: BTreeMap<GaugeMetric, f64> = BTreeMap::new();
        let mut known = 0_usize;
        for part in samples.iter().flat_map(quantities::parts) {
            known += 1;
            match part {
                Part::Counted(metric, name, value) => {
                    self.rates.read(&(subject.clone(), metric), name, None, at, value);
                }
                Part::Measured(metric, value) => *measured.entry(metric).or_default() += value,
            }
        }
        if known == 0 {
            let problem = format!("{} samples and {bad} other lines, none of them of a node", samples.len());
            return Err(ScrapeError::Answer { url: self.url.clone(), problem });
        }
        let levels = measured.into_iter().filter(|(_, value)| value.is_finite() && *value >= 0.0);
        let mut gauges: Vec<Gauge> = levels
            .map(|(metric, value)| Gauge {
                subject: subject.clone(),
                metric,
                source: GaugeSource::NodeExporter,
                at,
                value,
            })
            .collect();
        gauges.extend(self.rates.take());
        Ok(gauges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter() -> NodeExporter {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().build().unwrap();
        NodeExporter::new(
            "n1".into(),
            "http://n1:9100/metrics".into(),
            Duration::from_secs(1),
            http,
            Step::MINUTE,
        )
    }

    fn answer(busy_seconds: f64) -> String {
        format!(
            "node_cpu_seconds_total{{cpu=\"0\",mode=\"idle\"}} 5\nnode_cpu_seconds_total{{cpu=\"1\",mode=\"idle\"}} 5\n\
             node_cpu_seconds_total{{cpu=\"0\",mode=\"user\"}} {busy_seconds}\n\
             node_cpu_seconds_total{{cpu=\"1\",mode=\"iowait\"}} {busy_seconds}\n\
             node_memory_MemTotal_bytes 100\nnode_memory_MemAvailable_bytes 30\n\
             node_disk_read_bytes_total{{device=\"sda\"}} {}\nnode_disk_read_bytes_total{{device=\"dm-0\"}} 9e9\n\
             node_network_receive_bytes_total{{device=\"lo\"}} 9e9\n",
            busy_seconds * 10.0
        )
    }

    #[test]
    fn levels_come_at_once_and_rates_step_by_step() {
        let mut exporter = exporter();
        let mut got: BTreeMap<GaugeMetric, Vec<f64>> = BTreeMap::new();
        for s in (0..=75).step_by(15) {
            let gauges = exporter.gauges(&answer(s as f64 / 2.0), Timestamp::from_unix_ms(s * 1000)).unwrap();
            for gauge in gauges {
                got.entry(gauge.metric).or_default().push(gauge.value);
            }
        }
        assert_eq!(
            got[&GaugeMetric::CpuUsedMillicores],
            [500.0],
            "half a core, for the one step that is complete"
        );
        assert_eq!(got[&GaugeMetric::DiskIoBytesPerSecond], [5.0]);
        assert_eq!(got[&GaugeMetric::MemoryUsedBytes], [70.0; 6]);
        assert_eq!(got[&GaugeMetric::CpuCapacityMillicores], [2000.0; 6]);
        assert!(!got.contains_key(&GaugeMetric::NetworkBytesPerSecond), "loopback is not the network");
    }

    #[test]
    fn an_answer_of_something_else_is_an_error() {
        let error = exporter().gauges("<html>\nup 1\n", Timestamp::default()).unwrap_err();
        assert!(error.to_string().contains("1 samples and 1 other lines, none of them of a node"), "{error}");
    }
}
