//! What the two copies answered to the same requests.
use crate::{rollout::gate::GateSample, units::Quantile};

/// What one copy answered to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// It came in time and was no failure of the service.
    pub ok: bool,
    /// From the moment at which the request was due until its end, in milliseconds: a stall is seen in every request that
    /// fell into it.
    pub latency_ms: f64,
}

/// The same request to both copies, at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The copy on the source, or on a node like it.
    pub source: Answer,
    /// The copy on the candidate.
    pub target: Answer,
}

/// All pairs after the warm-up, in the order in which they were due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialSamples {
    /// One for each request that was due.
    pub pairs: Vec<Pair>,
    /// Pairs that were sent so late that what they saw is the generator.
    pub late: u64,
    /// Seconds from the first to the last of them.
    pub seconds: f64,
    /// Node of the copy that stands for the source.
    pub source_node: String,
    /// Anything that a reader of the verdict should know, such as how requests reached the copies.
    pub notes: Vec<String>,
}

impl TrialSamples {
    /// One end as the gate of a rollout takes it.
    pub(super) fn end(&self, of: impl Fn(&Pair) -> Answer, quantile: Quantile) -> GateSample {
        let answers: Vec<Answer> = self.pairs.iter().map(of).collect();
        let good = answers.iter().filter(|answer| answer.ok);
        let mut good: Vec<f64> = good.map(|answer| answer.latency_ms).collect();
        GateSample {
            requests: self.pairs.len() as u64,
            server_errors: answers.iter().filter(|answer| !answer.ok).count() as u64,
            latency_ms: quantile_of(&mut good, quantile),
        }
    }
}

/// The smallest value that the share of them reaches; not a number of none.
fn quantile_of(values: &mut [f64], quantile: Quantile) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let rank = ((values.len() as f64 * quantile.get()).ceil() as usize).clamp(1, values.len()) - 1;
    let (_, value, _) = values.select_nth_unstable_by(rank, f64::total_cmp);
    *value
}
