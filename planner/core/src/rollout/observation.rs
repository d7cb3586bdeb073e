//! What an executor tells the state machine, and what it is asked to do.
use super::gate::GateVerdict;
use crate::{plan::PairWeights, time::Timestamp};
use serde::{Deserialize, Serialize};

/// One thing to do. Each can be repeated without harm, because after a restart nobody knows whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Try the move in the staging mesh; its verdict goes into the record.
    TryMove,
    /// Run the target's preparation, if it has one.
    Prepare,
    /// Start the workload on the target.
    StartTarget,
    /// Put the weights in force that lie so far on the way from those before the move to those after it.
    SetTraffic {
        /// 0 to 100: nothing given to the target yet, to all that it is to get.
        target_percent: u8,
    },
    /// Start the source again: it stopped answering and is needed.
    StartSource,
    /// Stop the replica on the target.
    StopTarget,
    /// Stop the replica on the source.
    StopSource,
    /// Take away all that is there for the move, and leave the replicas to whoever replaces them.
    LetGo,
}

/// How the last try of an action in this state went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried.
    pub action: Action,
    /// When it ended.
    pub at: Timestamp,
    /// The error as text, or nothing when it worked.
    pub error: Option<String>,
}

/// Whether the plan still holds, judged just before acting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It does.
    Holds,
    /// It does not, and why: the breach is not predicted any more, the target changed, a newer plan is in force.
    Changed(String),
}

/// The move of the same plan that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predecessor {
    /// Still going on.
    Running,
    /// It succeeded at this time.
    Succeeded(Timestamp),
    /// It ended in another way.
    Stopped,
}

/// An operator's wish to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbortRequest {
    /// Who wants it.
    pub who: String,
    /// Their reason.
    pub why: String,
    /// When they said so.
    pub at: Timestamp,
}

/// What is known of the world at one moment. `None` always means "could not be found out", which is never good news and
/// never bad news: the machine then waits until its deadline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Whether the plan still holds; asked for in `Pending`, and in `Trial` after the trial.
    pub validity: Option<Validity>,
    /// The move that comes first, if there is one.
    pub predecessor: Option<Predecessor>,
    /// An operator asked to stop.
    pub abort: Option<AbortRequest>,
    /// Somebody else replaces the replicas of what moves, and how that is seen: source and target will both be gone, whatever
    /// weights they have.
    pub overtaken: Option<String>,
    /// Whether the replica on the target answers its ready check.
    pub target_ready: Option<bool>,
    /// Whether the replica on the source answers its ready check.
    pub source_ready: Option<bool>,
    /// Traffic of the pair.
    pub weights: Option<PairWeights>,
    /// Verdict over the time since the state was entered.
    pub gate: Option<GateVerdict>,
    /// Whether the end that has no traffic any more was quiet for `drain_quiet_ms`.
    pub drained: Option<bool>,
    /// The last try of an action since the state was entered, by this executor.
    pub attempt: Option<Attempt>,
}

impl Observation {
    /// The action was done since the state was entered, by this executor.
    pub(super) fn did(&self, action: Action) -> bool {
        self.attempt.as_ref().is_some_and(|a| a.action == action && a.error.is_none())
    }

    /// The error of the last try, or a note that there was none.
    pub(super) fn last_error(&self) -> &str {
        self.attempt.as_ref().and_then(|a| a.error.as_deref()).unwrap_or("no error was reported")
    }
}
