//! Drives one rollout: observe, ask the state machine, store, act, again.
use super::{RolloutError, RolloutPorts, RolloutSettings, journal::Journal, observe::Look};
use crate::{causes::chain, clock::Clock, durations, leader::Leader, platform::PlatformError};
use foremesh_core::{
    ids::{ReplicaId, RolloutId},
    plan::Move,
    rollout::{Action, Attempt, Limits, Next, Observation, Predecessor, RolloutRecord, State, step},
};
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex as SyncMutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{sleep, timeout},
};

/// Steps of one rollout in one go. A calm rollout makes two or three between waits; the limit keeps a world that changes
/// with every look from holding the loop.
const STEPS_AT_ONCE: usize = 32;

/// How often is looked, while something is done, whether somebody else replaces the replicas.
const OVERTAKEN_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) journal: Journal,
    pub(super) settings: RolloutSettings,
    pub(super) limits: Limits,
    pub(super) ports: RolloutPorts,
    pub(super) clock: Clock,
    pub(super) live: SyncMutex<BTreeMap<RolloutId, Arc<Mutex<Live>>>>,
    pub(super) waiting: SyncMutex<BTreeMap<RolloutId, String>>,
    /// Copies of two trials would share names, and load the same nodes: one trial at a time.
    pub(super) trying: Mutex<()>,
    /// Accepting a plan is a check and a write that belong together.
    pub(super) accepting: Mutex<()>,
    pub(super) woken: Notify,
    /// Who says whether anything may be done; nobody when this planner is the only one.
    pub(super) leader: OnceLock<Arc<dyn Leader>>,
    /// Counts changes, for whoever shows them.
    pub(super) changed: watch::Sender<u64>,
}

/// A rollout that this process drives.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) record: RolloutRecord,
    /// Changes of state that the audit has.
    pub(super) reported: usize,
    /// The last try in this state; not stored, so that a restart tries again.
    pub(super) attempt: Option<Attempt>,
}

impl Live {
    pub(super) fn shared(record: RolloutRecord, reported: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { record, reported, attempt: None }))
    }
}

impl Shared {
    pub(super) fn live_ids(&self) -> Vec<RolloutId> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) async fn drive_logged(&self, id: &RolloutId) {
        if let Err(error) = self.drive(id).await {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(rollout = %id, %error, cause, "rollout stands still until its journal works again");
        }
    }

    /// As far as it goes now; nothing when another task drives it.
    async fn drive(&self, id: &RolloutId) -> Result<(), RolloutError> {
        let slot = self.live.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let Some(slot) = slot else { return Ok(()) };
        let Ok(mut live) = slot.try_lock() else { return Ok(()) };
        for _ in 0..STEPS_AT_ONCE {
            self.report(&mut live).await?;
            // What another planner does meanwhile would look like a failure here.
            if let Some(why) = self.not_leading().filter(|_| !live.record.state.is_last()) {
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), why);
                return Ok(());
            }
            match self.next(&live).await? {
                Next::Do(Action::TryMove) => {
                    let Ok(_one_at_a_time) = self.trying.try_lock() else {
                        let why = "the trial of another move to end".to_owned();
                        // Its own time begins when it is its turn.
                        let own = live.record.own_deadline(State::Trial, &self.limits, self.clock.now());
                        live.record.deadline = live.record.deadline.max(own);
                        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), why);
                        return Ok(());
                    };
                    self.try_move(&mut live).await?;
                }
                Next::Do(action) => self.act(&mut live, action).await?,
                Next::Transition { to, why } => self.enter(&mut live, to, why).await?,
                Next::Wait { why, .. } => {
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), why);
                    return Ok(());
                }
                Next::Finished => {
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                    if live.reported == live.record.history.len() {
                        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                    }
                    return Ok(());
                }
            }
        }
        tracing::warn!(rollout = %id, state = %live.record.state, "rollout does not come to rest");
        Ok(())
    }

    /// What comes next. Answers that the platform gave from memory are enough to wait by; whatever is done, is done by what
    /// is there at that moment.
    async fn next(&self, live: &Live) -> Result<Next, RolloutError> {
        let relocator = &self.ports.relocator;
        let before = relocator.remembered();
        let seen = self.observe(live).await?;
        let next = step(&live.record, &seen, &self.limits, self.clock.now());
        if matches!(next, Next::Wait { .. }) || relocator.remembered() == before {
            return Ok(next);
        }
        relocator.forget_answers();
        let seen = self.observe(live).await?;
        Ok(step(&live.record, &seen, &self.limits, self.clock.now()))
    }

    async fn observe(&self, live: &Live) -> Result<Observation, RolloutError> {
        let look = Look {
            record: &live.record,
            ports: &self.ports,
            settings: &self.settings,
            now: self.clock.now(),
        };
        let mut seen =
            if live.record.state.is_last() { Observation::default() } else { look.observe().await };
        seen.attempt.clone_from(&live.attempt);
        seen.abort = self.journal.abort(&live.record.id).await?;
        if let Some(before) = live.record.after.as_ref().filter(|_| live.record.state == State::Pending) {
            let before = self.journal.get(before).await?.map(|entry| entry.record);
            seen.predecessor = Some(match before {
                Some(record) if !record.state.is_last() => Predecessor::Running,
                Some(record) if record.state == State::Succeeded => Predecessor::Succeeded(record.entered_at),
                _ => Predecessor::Stopped,
            });
        }
        Ok(seen)
    }

    /// Durable first; only then does memory follow.
    pub(super) async fn enter(&self, live: &mut Live, to: State, why: String) -> Result<(), RolloutError> {
        let next = live.record.entered(to, why, &self.limits, self.clock.now());
        self.journal.save(&next).await?;
        let (rollout, from) = (&next.id, live.record.state);
        if to == State::Failed {
            tracing::error!(%rollout, %from, %to, why = next.why(), "rollout failed, a human must act");
        } else {
            tracing::info!(%rollout, %from, %to, why = next.why(), "rollout changed its state");
        }
        live.record = next;
        live.attempt = None;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn report(&self, live: &mut Live) -> Result<(), RolloutError> {
        while live.reported < live.record.history.len() {
            if let Err(error) = self.ports.reporter.report(&live.record, live.reported).await {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(rollout = %live.record.id, %error, cause, "change of state will be reported again");
                return Ok(());
            }
            live.reported += 1;
            self.journal.save_reported(&live.record.id, live.reported).await?;
        }
        Ok(())
    }

    async fn act(&self, live: &mut Live, action: Action) -> Result<(), RolloutError> {
        tracing::info!(rollout = %live.record.id, state = %live.record.state, ?action, "rollout acts");
        let limit = durations::of_ms(self.settings.action_timeout);
        let outcome = tokio::select! {
            done = timeout(limit, self.carry_out(&live.record, action)) => match done {
                Ok(Ok(target)) => Ok(target),
                Ok(Err(error)) => Err(chain(&error)),
                Err(_) => Err(format!("it did not end within {limit:?} (`actionTimeout`)")),
            },
            // What is waited for may never come then, and traffic must not wait with it.
            seen = self.overtaken(&live.record), if action != Action::LetGo => {
                Err(format!("it was left, because somebody else replaces the replicas: {seen}"))
            }
        };
        if outcome.is_err()
            && let Some(why) = self.not_leading()
        {
            tracing::warn!(rollout = %live.record.id, why, "rollout stands still in the middle of an action");
            return Ok(());
        }
        let mut next = live.record.clone();
        let error = match outcome {
            Ok(target) => {
                next.target = target.or(next.target);
                None
            }
            Err(error) => {
                next.attempt += 1;
                tracing::warn!(rollout = %next.id, ?action, attempt = next.attempt, error, "rollout action failed");
                Some(error)
            }
        };
        if next != live.record {
            self.journal.save(&next).await?;
            live.record = next;
        }
        live.attempt = Some(Attempt { action, at: self.clock.now(), error });
        Ok(())
    }

    /// Ready when somebody else replaces the replicas of what moves.
    async fn overtaken(&self, record: &RolloutRecord) -> String {
        loop {
            sleep(OVERTAKEN_EVERY).await;
            match self.ports.relocator.overtaken(&record.relocation.workload).await {
                Ok(Some(seen)) => return seen,
                Ok(None) => {}
                Err(error) => tracing::debug!(rollout = %record.id, %error, "platform could not be asked"),
            }
        }
    }

    /// Does one thing; returns the name of the replica on the target when that was started.
    async fn carry_out(
        &self,
        record: &RolloutRecord,
        action: Action,
    ) -> Result<Option<ReplicaId>, PlatformError> {
        let Move { workload, service, replica, from, to, .. } = &record.relocation;
        let relocator = &self.ports.relocator;
        match action {
            // Has a way of its own: it takes minutes, and an operator may stop it.
            Action::TryMove => {}
            Action::Prepare => relocator.prepare(workload, to).await?,
            Action::StartTarget => return relocator.place(workload, to, Some(replica)).await.map(Some),
            Action::StartSource => {
                relocator.place(workload, from, None).await?;
            }
            Action::SetTraffic { target_percent } => self.set_traffic(record, target_percent).await?,
            Action::StopTarget => {
                relocator.retire(workload, to, record.target.as_ref()).await?;
                self.ports.traffic.restore(service).await?;
            }
            Action::LetGo => relocator.let_go(workload).await?,
            Action::StopSource => {
                relocator.retire(workload, from, Some(replica)).await?;
                self.ports.traffic.restore(service).await?;
            }
        }
        Ok(None)
    }

    /// Puts the weights of the two ends in force that lie so far on the way; the service's other replicas keep what they
    /// have.
    async fn set_traffic(&self, record: &RolloutRecord, target_percent: u8) -> Result<(), PlatformError> {
        let Move { service, replica, .. } = &record.relocation;
        if record.relocation.is_shift() && !self.ports.traffic.keeps_weights() {
            return Err(PlatformError::Refused {
                object: format!("traffic of service `{service}`"),
                problem: "the platform does not keep weights beyond a move".to_owned(),
                remedy: "let a replica move instead".to_owned(),
            });
        }
        let mut weights = self.ports.traffic.weights(service).await?;
        let pair = record.relocation.traffic.at(target_percent);
        let ends = [(Some(replica), pair.source), (record.target.as_ref(), pair.target)];
        for (end, weight) in ends {
            let Some(end) = end else { continue };
            weights.remove(end);
            if weight > 0 {
                weights.insert(end.clone(), weight);
            }
        }
        self.ports.traffic.set_weights(service, &weights).await
    }
}
