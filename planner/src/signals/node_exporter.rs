//! A node-exporter that is read directly, for nodes that no Prometheus watches.
mod exposition;
mod quantities;

pub(super) use quantities::{is_disk, is_network, left_out_devices};

use super::rates::Rates;
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use exposition::Bad;
use foremesh_core::{
    ids::NodeId,
    time::{Step, Timestamp},
};
use quantities::Part;
use std::{collections::BTreeMap, time::Duration};

/// Largest answer that is read; a node with a thousand devices answers with about 1 MB.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// So much of a broken line is shown.
const SHOWN_CHARS: usize = 80;

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
    /// The answer ended before its end.
    #[error(
        "the answer of the node-exporter at {url} was cut off after {bytes} bytes and is not used; check the exporter and \
         what is between"
    )]
    Cut {
        /// Its address.
        url: String,
        /// What had come.
        bytes: usize,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// Lines of the answer are not of the text format.
    #[error(
        "the answer of the node-exporter at {url} is broken in {lines} lines, first in line {line}: `{text}`; nothing of it is \
         used, because a part would pass for the whole; check the exporter and what is between"
    )]
    Broken {
        /// Its address.
        url: String,
        /// Number of the first such line.
        line: usize,
        /// Its begin.
        text: String,
        /// How many there are.
        lines: usize,
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
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(unreachable(error)),
                Err(error) => {
                    let (url, bytes, source) = (self.url.clone(), body.len(), error.without_url());
                    return Err(ScrapeError::Cut { url, bytes, source });
                }
            };
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(wrong(format!("more than {MAX_ANSWER_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| wrong("something that is not text".to_owned()))
    }

    fn gauges(&mut self, text: &str, at: Timestamp) -> Result<Vec<Gauge>, ScrapeError> {
        self.check(text)?;
        let subject = GaugeSubject::Node(self.node.clone());
        let mut measured: BTreeMap<GaugeMetric, f64> = BTreeMap::new();
        let mut free: BTreeMap<GaugeMetric, f64> = BTreeMap::new();
        for part in exposition::parse(text).flatten().flat_map(|sample| quantities::parts(&sample)) {
            match part {
                Part::Counted(metric, name, value) => {
                    self.rates.read(&(subject.clone(), metric), name, None, at, value);
                }
                Part::Measured(metric, value) => *measured.entry(metric).or_default() += value,
                Part::Free(metric, value) => *free.entry(metric).or_default() += value,
            }
        }
        let levels = measured.into_iter().filter_map(|(metric, value)| {
            let free = free.get(&metric).copied().or((!quantities::has_free(metric)).then_some(0.0))?;
            Some((metric, value - free))
        });
        let levels = levels.filter(|(_, value)| value.is_finite() && *value >= 0.0);
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

    /// Refuses a text that is not of a node, or not whole: the sum of what is left of it would be a wrong number.
    fn check(&self, text: &str) -> Result<(), ScrapeError> {
        let (mut samples, mut known, mut bad, mut first) = (0_usize, 0_usize, 0_usize, None);
        for line in exposition::parse(text) {
            match line {
                Ok(sample) => {
                    samples += 1;
                    known += quantities::parts(&sample).len();
                }
                Err(line) => {
                    bad += 1;
                    first.get_or_insert(line);
                }
            }
        }
        let url = self.url.clone();
        if known == 0 {
            let problem = format!("{samples} samples and {bad} other lines, none of them of a node");
            return Err(ScrapeError::Answer { url, problem });
        }
        match first {
            None => Ok(()),
            Some(Bad { line, text }) => {
                let text = text.chars().take(SHOWN_CHARS).collect();
                Err(ScrapeError::Broken { url, line, text, lines: bad })
            }
        }
    }
}

#[cfg(test)]
mod tests;
