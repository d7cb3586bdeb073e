//! The rollout of one move, as a state machine without IO and without a clock.
//!
//! ```text
//! Pending ► Trial ► Reserving ► Surging ► Ramping(0..) ► Draining ► Settling ► Settling, retiring ► Succeeded
//!    │        │         │          └──────────┴────┬────────┴──────────┘              │
//!    └────────┴─────────┤                          ▼                                  ▼
//!       Aborted, RolledBack   RollingBack: shift ► drain ► stop ► RolledBack | Aborted | Failed
//! ```
//!
//! A shift of traffic starts and stops nothing, so it has fewer states:
//!
//! ```text
//! Pending ► Trial ► Ramping(0..) ► Settling ► Succeeded
//!    │        │          └────┬───────┘
//!    └────────┴► Aborted      └► RollingBack: shift ► RolledBack | Aborted | Failed
//! ```
//!
//! [`step`] looks at a stored [`RolloutRecord`] and at an [`Observation`] of the world and says what comes next. It
//! remembers nothing itself, so an executor that was killed at any point reads the record, observes and goes on. Every
//! action is idempotent and is issued again when it is not known to have worked.
//!
//! What always holds, whatever is observed, whatever fails and whenever the executor is killed:
//!
//! 1. the target gets traffic, and with a shift more of it, only while it answers its ready check;
//! 2. the source is stopped only when the target is ready, has all that it is to get of the pair's traffic and has passed
//!    settling; that of a shift is never stopped;
//! 3. the target is stopped only when the source answers and has all of the pair's traffic; that of a shift is never
//!    stopped;
//! 4. every state has a deadline, and every deadline leads on or back, to a state that is the last;
//! 5. a shift starts and stops nothing, and gives the source traffic back only while that answers.
use crate::{
    aftermath::{Benefit, MovedBack},
    approval::Approval,
    ids::{PlanId, ReplicaId, RolloutId},
    plan::{Move, Plan},
    time::Timestamp,
    trial::Trial,
    twin::MovePrediction,
};
use serde::{Deserialize, Serialize};
use std::fmt;

pub mod gate;
mod limits;
mod machine;
mod observation;
mod rolling_back;
mod shift;
#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use machine::step;
pub use observation::{AbortRequest, Action, Attempt, Observation, Predecessor, Validity};

/// Where a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum State {
    /// Waits, then checks once more that the plan still holds. Nothing was done yet.
    Pending,
    /// Tries the move in the staging mesh, where nobody waived that. Production is not touched before it passed.
    Trial,
    /// Prepares the target; the workload's need counts on it as in flight.
    Reserving,
    /// Starts the replica on the target and waits until it answers its ready check.
    Surging,
    /// Holds the share of traffic of this ramp step and compares target and source.
    Ramping {
        /// Place in the move's `ramp_percent`.
        step: usize,
    },
    /// The target has all traffic of the pair; waits until the source is quiet.
    Draining,
    /// The target alone, the source kept warm; then the source is stopped. With a shift: both with the shares that they
    /// are to keep.
    Settling {
        /// Settling has passed and the source is being stopped: there is no way back any more.
        retiring: bool,
    },
    /// The compensation: back to the source.
    RollingBack {
        /// The state that it was entered from.
        from: Phase,
        /// How far it is.
        stage: Stage,
        /// An operator asked for it, so that it ends as [`State::Aborted`].
        aborted: bool,
    },
    /// The target serves, the source is stopped; after a shift both serve with their new shares.
    Succeeded,
    /// The source serves, as before.
    RolledBack,
    /// Stopped by an operator, or before anything was done; the source serves, as before.
    Aborted,
    /// The way on or back did not work either; the last transition says what is left and what a human must do.
    Failed,
}

/// A state without its details, for names and counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the state of the same name")]
pub enum Phase {
    Pending,
    Trial,
    Reserving,
    Surging,
    Ramping,
    Draining,
    Settling,
    RollingBack,
    Succeeded,
    RolledBack,
    Aborted,
    Failed,
}

/// How far a rollback is: weights first, the replica last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Gives all traffic of the pair back to the source, and starts the source again should it not answer. The only one of
    /// a shift, which starts nothing.
    Shift,
    /// Waits until the target is quiet.
    Drain,
    /// Stops the replica on the target.
    Stop,
    /// Takes away what is there for the move, from any state: somebody else replaces both ends.
    LetGo,
}

impl State {
    /// The state without its details.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Pending => Phase::Pending,
            Self::Trial => Phase::Trial,
            Self::Reserving => Phase::Reserving,
            Self::Surging => Phase::Surging,
            Self::Ramping { .. } => Phase::Ramping,
            Self::Draining => Phase::Draining,
            Self::Settling { .. } => Phase::Settling,
            Self::RollingBack { .. } => Phase::RollingBack,
            Self::Succeeded => Phase::Succeeded,
            Self::RolledBack => Phase::RolledBack,
            Self::Aborted => Phase::Aborted,
            Self::Failed => Phase::Failed,
        }
    }

    /// Nothing happens any more.
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Succeeded | Self::RolledBack | Self::Aborted | Self::Failed)
    }

    /// The way back is closed: the source is being stopped, or all is over.
    pub const fn is_past_return(self) -> bool {
        self.is_last() || matches!(self, Self::Settling { retiring: true })
    }
}

impl Phase {
    /// The name as design, logs and API write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Trial => "Trial",
            Self::Reserving => "Reserving",
            Self::Surging => "Surging",
            Self::Ramping => "Ramping",
            Self::Draining => "Draining",
            Self::Settling => "Settling",
            Self::RollingBack => "RollingBack",
            Self::Succeeded => "Succeeded",
            Self::RolledBack => "RolledBack",
            Self::Aborted => "Aborted",
            Self::Failed => "Failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ramping { step } => write!(f, "Ramping({step})"),
            Self::Settling { retiring: true } => f.write_str("Settling(retiring)"),
            Self::RollingBack { from, stage, .. } => {
                let stage = match stage {
                    Stage::Shift => "shift",
                    Stage::Drain => "drain",
                    Stage::Stop => "stop",
                    Stage::LetGo => "let go",
                };
                write!(f, "RollingBack({stage}, from {from})")
            }
            other => f.write_str(other.phase().name()),
        }
    }
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// Why, with the numbers.
    pub why: String,
}

/// All that must survive a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// This rollout.
    pub id: RolloutId,
    /// The plan that the move is from.
    pub plan: PlanId,
    /// The plan's generation.
    pub generation: u64,
    /// The move of the same plan that must succeed before this one starts.
    pub after: Option<RolloutId>,
    /// What is moved.
    #[serde(rename = "move")]
    pub relocation: Move,
    /// How the move is tried, what came of it, or who waived that.
    pub trial: Trial,
    /// The human who approved the plan; `None` when no human had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What the twin expects of the move, to compare with what comes.
    pub prediction: Option<MovePrediction>,
    /// The replica on the target, known once it was started; that of a shift from the beginning.
    pub target: Option<ReplicaId>,
    /// Where the rollout stands.
    pub state: State,
    /// When it got there.
    pub entered_at: Timestamp,
    /// When it must have left this state.
    pub deadline: Timestamp,
    /// Failed tries of this state's action.
    pub attempt: u32,
    /// Every change of state so far, oldest first.
    pub history: Vec<Transition>,
    /// Whether it was worth it, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benefit: Option<Benefit>,
    /// Set when somebody else took it back after it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_back: Option<MovedBack>,
}

impl RolloutRecord {
    /// A rollout of one move of `plan` that has not begun.
    pub fn new(
        id: RolloutId,
        plan: &Plan,
        relocation: Move,
        trial: Trial,
        limits: &Limits,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            plan: plan.id.clone(),
            generation: plan.generation,
            after: None,
            target: relocation.shift_to.clone(),
            relocation,
            trial,
            approval: None,
            prediction: None,
            state: State::Pending,
            entered_at: now,
            deadline: now.plus_ms(limits.of(State::Pending)),
            attempt: 0,
            history: Vec::new(),
            benefit: None,
            moved_back: None,
        }
    }

    /// The same rollout after a change of state.
    ///
    /// The stages of a rollback share one deadline, so that a source that comes and goes cannot keep it going for ever;
    /// only the first few visits of a stage may extend it, so that a late stage is not failed without a try.
    #[must_use]
    pub fn entered(&self, to: State, why: impl Into<String>, limits: &Limits, now: Timestamp) -> Self {
        const VISITS_THAT_EXTEND: usize = 3;
        let fresh = self.own_deadline(to, limits, now);
        let visits = self.history.iter().filter(|t| t.to == to).count();
        let within = self.state.phase() == Phase::RollingBack && to.phase() == Phase::RollingBack;
        let deadline = match (within, visits < VISITS_THAT_EXTEND) {
            (false, _) => fresh,
            (true, true) => fresh.max(self.deadline),
            (true, false) => self.deadline,
        };
        let mut next = self.clone();
        next.history.push(Transition { at: now, from: self.state, to, why: why.into() });
        Self { state: to, entered_at: now, deadline, attempt: 0, ..next }
    }

    /// When a state that begins now has to be over, whatever came before it.
    pub fn own_deadline(&self, of: State, limits: &Limits, now: Timestamp) -> Timestamp {
        // A trial may be begun anew once: its planner may be killed in the middle.
        let trial_ms = self
            .trial
            .owed()
            .filter(|_| of == State::Trial)
            .map_or(0, |order| order.limit_ms().saturating_mul(2));
        now.plus_ms(limits.of(of).saturating_add(trial_ms))
    }

    /// The same rollout as an executor takes it up after a restart: a state whose deadline does not lead back gets its
    /// whole time again, because the time that nobody was there to use must not turn it into a failure.
    #[must_use]
    pub fn resumed(self, limits: &Limits, now: Timestamp) -> Self {
        let extends = matches!(self.state, State::RollingBack { .. } | State::Settling { retiring: true });
        // A shift whose source does not answer waits for it until then.
        let waits =
            self.relocation.is_shift() && matches!(self.state.phase(), Phase::Ramping | Phase::Settling);
        if !(extends || waits) {
            return self;
        }
        let deadline = self.deadline.max(now.plus_ms(limits.of(self.state)));
        Self { deadline, attempt: 0, ..self }
    }

    /// How much of the way is done in a ramp step, in percent; `None` past the last one that leaves some of it: the step of
    /// 100 % is [`State::Draining`], where there is no source left to compare with, and [`State::Settling`] of a shift.
    pub fn ramp_percent(&self, step: usize) -> Option<u8> {
        self.relocation.ramp_percent.iter().copied().filter(|p| (1..100).contains(p)).nth(step)
    }

    /// When the pair first got other weights than before: what was seen of the source until then is its past.
    pub fn shifted_at(&self) -> Option<Timestamp> {
        let gives = |phase| matches!(phase, Phase::Ramping | Phase::Draining | Phase::Settling);
        self.history.iter().find(|change| gives(change.to.phase())).map(|change| change.at)
    }

    /// Whether production may be touched, as far as the trial goes.
    pub fn is_permitted(&self) -> bool {
        self.trial.permits()
    }

    /// Whether the weights of the ends must still be those that the plan was made for when it begins. A whole replica
    /// with all that it has needs no such look: there is only one way to move it.
    pub fn depends_on_weights(&self) -> bool {
        self.relocation.is_shift() || !self.relocation.traffic.is_whole()
    }

    /// Why the rollout is in its state.
    pub fn why(&self) -> &str {
        self.history.last().map_or("accepted", |t| t.why.as_str())
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Do this and tell with the next observation how it went. The record is durable already.
    Do(Action),
    /// Nothing can be done now.
    Wait {
        /// Look again at this time at the latest, or when something new is known.
        until: Timestamp,
        /// What is waited for.
        why: String,
    },
    /// Store the change of state first, then ask again.
    Transition {
        /// The state to enter.
        to: State,
        /// Why, with the numbers.
        why: String,
    },
    /// It is over.
    Finished,
}
