//! Finds out what the state machine wants to know, each question with a deadline.
use super::{RolloutPorts, RolloutSettings};
use crate::durations;
use foremesh_core::{
    ids::NodeId,
    plan::PairWeights,
    rollout::{
        Observation, Phase, RolloutRecord, State,
        gate::{GateSample, GateVerdict, judge},
    },
    time::Timestamp,
};
use std::future::Future;
use tokio::time::timeout;

/// How far back the past of a source is looked at, in milliseconds: before that it had another load.
const LONGEST_PAST_MS: i64 = 3_600_000;

/// One look at the world, for one rollout.
pub(super) struct Look<'a> {
    pub(super) record: &'a RolloutRecord,
    pub(super) ports: &'a RolloutPorts,
    pub(super) settings: &'a RolloutSettings,
    pub(super) now: Timestamp,
}

impl Look<'_> {
    /// Everything that matters in the record's state; the rest stays unknown.
    pub(super) async fn observe(&self) -> Observation {
        let state = self.record.state;
        match state.phase() {
            Phase::Pending => {
                let due = self.record.entered_at.plus_ms(self.settings.revalidate_after);
                if self.now < due {
                    return Observation::default();
                }
                let validity = self.answered(self.ports.validator.validate(self.record)).await.flatten();
                Observation { validity, ..Observation::default() }
            }
            Phase::Trial => {
                let weights = if self.record.depends_on_weights() { self.weights().await } else { None };
                let validity = if self.record.trial.report().is_some() {
                    self.answered(self.ports.validator.validate(self.record)).await.flatten()
                } else {
                    None
                };
                Observation { weights, validity, ..Observation::default() }
            }
            Phase::Surging | Phase::Ramping | Phase::Draining | Phase::Settling | Phase::RollingBack => {
                let (overtaken, target_ready, source_ready, weights, gate, drained) = tokio::join!(
                    self.overtaken(),
                    self.target_ready(),
                    self.source_ready(),
                    self.weights(),
                    self.gate(),
                    self.drained()
                );
                Observation {
                    overtaken,
                    target_ready,
                    source_ready,
                    weights,
                    gate,
                    drained,
                    ..Observation::default()
                }
            }
            _ => Observation::default(),
        }
    }

    /// The answer, if there is one in time.
    async fn answered<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        timeout(durations::of_ms(self.settings.probe_timeout), question).await.ok()
    }

    async fn overtaken(&self) -> Option<String> {
        let asked = self.ports.relocator.overtaken(&self.record.relocation.workload);
        self.known("replaced by others", self.answered(asked).await).flatten()
    }

    async fn target_ready(&self) -> Option<bool> {
        let replica = self.record.target.as_ref()?;
        let Self { record, ports, .. } = self;
        let asked = ports.relocator.is_ready(&record.relocation.workload, &record.relocation.to, replica);
        self.known("target ready check", self.answered(asked).await)
    }

    async fn source_ready(&self) -> Option<bool> {
        let relocation = &self.record.relocation;
        let asked =
            self.ports.relocator.is_ready(&relocation.workload, &relocation.from, &relocation.replica);
        self.known("source ready check", self.answered(asked).await)
    }

    async fn weights(&self) -> Option<PairWeights> {
        let relocation = &self.record.relocation;
        let asked = self.ports.traffic.weights(&relocation.service);
        let weights = self.known("weights", self.answered(asked).await)?;
        let of = |replica| weights.get(replica).copied().unwrap_or(0);
        Some(PairWeights {
            source: of(&relocation.replica),
            target: self.record.target.as_ref().map_or(0, of),
        })
    }

    fn known<T, E: std::error::Error>(&self, question: &str, answer: Option<Result<T, E>>) -> Option<T> {
        match answer {
            Some(Ok(answer)) => return Some(answer),
            Some(Err(error)) => {
                tracing::warn!(rollout = %self.record.id, question, %error, "platform could not be asked");
            }
            None => {
                tracing::warn!(rollout = %self.record.id, question, "platform did not answer in time");
            }
        }
        None
    }

    /// The last time whose summaries have surely arrived.
    fn settled_now(&self) -> Timestamp {
        self.now.plus_ms(-self.settings.observation_lag)
    }

    async fn sample(&self, node: &NodeId, from: Timestamp, to: Timestamp) -> Option<GateSample> {
        if to <= from {
            return None;
        }
        let relocation = &self.record.relocation;
        let asked = self.ports.gate.sample(&relocation.service, node, relocation.reason.quantile, from, to);
        self.answered(asked).await.flatten()
    }

    /// Target and source in the same windows. Once the source has no traffic any more: against its past.
    async fn gate(&self) -> Option<GateVerdict> {
        let (relocation, since) = (&self.record.relocation, self.record.entered_at);
        let until = self.settled_now();
        let source = async {
            match self.record.state {
                State::Ramping { .. } => Some(self.sample(&relocation.from, since, until).await),
                State::Settling { .. } if relocation.traffic.after.source > 0 => {
                    Some(self.sample(&relocation.from, since, until).await)
                }
                State::Draining | State::Settling { retiring: false } => Some(self.past_of_source().await),
                _ => None,
            }
        };
        let (target, source) = tokio::join!(self.sample(&relocation.to, since, until), source);
        let objective = (relocation.reason.quantile, relocation.reason.objective_ms);
        Some(judge(target, source?, objective, &self.settings.limits().gate))
    }

    /// What the source did before the ramp, as far back as it takes: nothing is added to it any more, so with too little of
    /// it no patience would ever bring a verdict. Where there is too little, as when nobody told which replica answered before
    /// the planner's endpoints were in force, what it still did in the ramp counts too.
    async fn past_of_source(&self) -> Option<GateSample> {
        let relocation = &self.record.relocation;
        let until = self.record.shifted_at().unwrap_or(self.record.entered_at);
        let needed = self.settings.limits().gate.needed(relocation.reason.quantile);
        let mut length = self.settings.settle.max(self.settings.hold_per_step).max(1);
        loop {
            let seen = self.sample(&relocation.from, until.plus_ms(-length), until).await?;
            if seen.requests >= needed {
                return Some(seen);
            }
            if length >= LONGEST_PAST_MS {
                return self.sample(&relocation.from, until.plus_ms(-length), self.settled_now()).await;
            }
            length = length.saturating_mul(2).min(LONGEST_PAST_MS);
        }
    }

    /// Whether the end that lost its traffic in this state was watched and had no request for long enough.
    async fn drained(&self) -> Option<bool> {
        use foremesh_core::rollout::Stage;
        let node = match self.record.state {
            State::Draining => &self.record.relocation.from,
            State::RollingBack { stage: Stage::Drain, .. } => &self.record.relocation.to,
            _ => return None,
        };
        let to = self.settled_now();
        let from = to.plus_ms(-self.settings.drain_quiet);
        if from < self.record.entered_at {
            return None;
        }
        self.sample(node, from, to).await.map(|sample| sample.requests == 0)
    }
}
