//! What the rest of the planner can do with rollouts: start, look at, abort.
use super::{
    RolloutError, RolloutPorts, RolloutSettings,
    drive::{Live, Shared},
    journal::{Entry, Journal, RolloutQuery},
};
use crate::{clock::Clock, control::REMEMBERED_MS, durations};
use foremesh_core::{
    ids::{PlanId, RolloutId, ServiceId},
    plan::Move,
    rollout::{AbortRequest, Phase, RolloutRecord},
    time::Timestamp,
    trial::{TestedPlan, TrialLimits},
};
use futures::future::join_all;
use std::{
    collections::BTreeMap,
    future::Future,
    path::Path,
    sync::{Arc, Mutex as SyncMutex, OnceLock, PoisonError},
};
use tokio::{
    sync::{Mutex, Notify, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// All rollouts, going on and past. Clones share them.
#[derive(Clone, Debug)]
pub struct Rollouts {
    pub(super) shared: Arc<Shared>,
}

impl Rollouts {
    /// Opens the journal and takes up every rollout that is not over.
    ///
    /// # Errors
    /// When the journal cannot be opened or read, or is of a newer planner.
    pub async fn open(
        journal: &Path,
        settings: RolloutSettings,
        ports: RolloutPorts,
        clock: Clock,
    ) -> Result<Self, RolloutError> {
        let journal = Journal::open(journal)?;
        let limits = settings.limits();
        let mut live = BTreeMap::new();
        for Entry { record, reported } in journal.unfinished().await? {
            let resumed = record.clone().resumed(&limits, clock.now());
            if resumed != record {
                journal.save(&resumed).await?;
            }
            if !resumed.state.is_last() {
                tracing::info!(rollout = %resumed.id, state = %resumed.state, "rollout taken up again");
            }
            live.insert(resumed.id.clone(), Live::shared(resumed, reported));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                journal,
                settings,
                limits,
                ports,
                clock,
                live: SyncMutex::new(live),
                waiting: SyncMutex::default(),
                trying: Mutex::new(()),
                accepting: Mutex::new(()),
                woken: Notify::new(),
                leader: OnceLock::new(),
                changed: watch::Sender::new(0),
            }),
        })
    }

    /// Accepts the moves of a tested plan; they are rolled out one after the other, each only when the one before it
    /// succeeded. They are durable when this returns.
    ///
    /// # Errors
    /// When another planner is the one that acts, when the plan is empty or not newer than every plan before it, when one of
    /// its workloads is being moved, when too many plans are in progress, or when the journal fails.
    pub async fn start(&self, tested: &TestedPlan) -> Result<Vec<RolloutId>, RolloutError> {
        let plan = tested.plan();
        let shared = &*self.shared;
        let _one_at_a_time = shared.accepting.lock().await;
        if let Some(why) = self.not_leading() {
            return Err(RolloutError::NotLeading(why));
        }
        let newest = shared.journal.newest_generation().await?;
        if plan.moves.is_empty() {
            return Err(RolloutError::Empty(plan.id.clone()));
        }
        if plan.generation <= newest {
            let (plan, generation) = (plan.id.clone(), plan.generation);
            return Err(RolloutError::Stale { plan, generation, newest });
        }
        let active = self.active().await?;
        for relocation in &plan.moves {
            if let Some(busy) = active.iter().find(|r| r.relocation.workload == relocation.workload) {
                return Err(RolloutError::Busy {
                    workload: relocation.workload.clone(),
                    rollout: busy.id.clone(),
                    state: busy.state,
                });
            }
        }
        let mut plans: Vec<_> = active.iter().map(|record| &record.plan).collect();
        plans.dedup();
        if plans.len() >= shared.settings.max_concurrent {
            return Err(RolloutError::TooMany { active: plans.len(), limit: shared.settings.max_concurrent });
        }
        let mut records: Vec<RolloutRecord> = Vec::new();
        for (number, relocation) in plan.moves.iter().enumerate() {
            let id = RolloutId::new(format!("{}.{number}", plan.id));
            let now = shared.clock.now();
            let Some(trial) = tested.trial(number) else {
                return Err(RolloutError::Untried(plan.id.clone()));
            };
            let mut record =
                RolloutRecord::new(id, plan, relocation.clone(), trial.clone(), &shared.limits, now);
            record.prediction = tested.prediction_of(relocation).cloned();
            record.approval = tested.approval().cloned();
            record.after = records.last().map(|before| before.id.clone());
            records.push(record);
        }
        shared.journal.accept(records.clone(), plan.generation).await?;
        let ids: Vec<RolloutId> = records.iter().map(|record| record.id.clone()).collect();
        tracing::info!(plan = %plan.id, moves = records.len(), "rollout accepted");
        let live = records.into_iter().map(|record| (record.id.clone(), Live::shared(record, 0)));
        shared.live.lock().unwrap_or_else(PoisonError::into_inner).extend(live);
        shared.woken.notify_one();
        shared.changed.send_modify(|count| *count += 1);
        Ok(ids)
    }

    /// How moves are tried before they touch production; none where there is no staging mesh.
    pub fn staging(&self) -> Option<TrialLimits> {
        self.shared.ports.staging.as_ref().map(|staging| staging.limits())
    }

    /// Those of some plans that were begun, each with its first rollout. A plan is begun once, so this tells for ever,
    /// or until its rollouts are forgotten.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn begun(&self, plans: &[PlanId]) -> Result<BTreeMap<PlanId, RolloutId>, RolloutError> {
        let first = |plan: &PlanId| (plan.clone(), RolloutId::new(format!("{plan}.0")));
        self.shared.journal.known(plans.iter().map(first).collect()).await
    }

    /// Stores what became of a rollout after it was over. One that is over is not changed by anything else.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn note(&self, record: &RolloutRecord) -> Result<(), RolloutError> {
        if record.state.is_last() {
            self.shared.journal.save(record).await?;
            self.shared.changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Counts acceptances and changes of state, so that whoever shows them can wait for the next.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Drives every rollout until the future that is passed ends. Dropping it at any point is safe.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut ticks = interval(durations::of_ms(self.shared.settings.poll));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut driven = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => {}
                () = self.shared.woken.notified() => {}
            }
            while driven.try_join_next().is_some() {}
            for id in self.shared.live_ids() {
                let shared = Arc::clone(&self.shared);
                driven.spawn(async move { shared.drive_logged(&id).await });
            }
        }
    }

    /// Drives every rollout as far as it goes now.
    pub async fn tick(&self) {
        join_all(self.shared.live_ids().iter().map(|id| self.shared.drive_logged(id))).await;
    }

    /// A page of all rollouts, the newest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn list(&self, query: RolloutQuery) -> Result<Vec<RolloutRecord>, RolloutError> {
        self.shared.journal.page(query).await
    }

    /// Rollouts of one service that are not over or have ended since then, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn for_service(
        &self,
        service: &ServiceId,
        since: Timestamp,
    ) -> Result<Vec<RolloutRecord>, RolloutError> {
        self.shared.journal.for_service(service, since).await
    }

    /// How many rollouts there are in each state, which is given as text.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn counts(&self) -> Result<Vec<(String, u64)>, RolloutError> {
        self.shared.journal.counts().await
    }

    /// Forgets rollouts that were over before then, the oldest first and at most `limit`; gives how many.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn forget(&self, before: Timestamp, limit: u32) -> Result<usize, RolloutError> {
        self.shared.journal.forget(before, limit).await
    }

    /// One rollout.
    ///
    /// # Errors
    /// When there is none of that name, or the journal cannot be read.
    pub async fn get(&self, id: &RolloutId) -> Result<RolloutRecord, RolloutError> {
        let entry = self.shared.journal.get(id).await?;
        entry.map(|entry| entry.record).ok_or_else(|| RolloutError::Unknown(id.clone()))
    }

    /// What a rollout waits for, when it waits.
    pub fn waiting_for(&self, id: &RolloutId) -> Option<String> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Asks a rollout to stop and to turn back. The wish is durable when this returns; it is acted on with the next look.
    ///
    /// # Errors
    /// When there is none of that name, when it is too late or not needed, or when the journal fails.
    pub async fn abort(&self, id: &RolloutId, who: &str, why: &str) -> Result<(), RolloutError> {
        let record = self.get(id).await?;
        if record.state.is_past_return() {
            return Err(RolloutError::TooLate { rollout: id.clone(), state: record.state });
        }
        if record.state.phase() == Phase::RollingBack {
            return Err(RolloutError::TurningBack(id.clone()));
        }
        let request = AbortRequest { who: who.to_owned(), why: why.to_owned(), at: self.shared.clock.now() };
        self.shared.journal.save_abort(id, &request).await?;
        tracing::info!(rollout = %id, who, why, "abort requested");
        self.shared.woken.notify_one();
        Ok(())
    }

    /// Rollouts that are not over, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn active(&self) -> Result<Vec<RolloutRecord>, RolloutError> {
        let entries = self.shared.journal.unfinished().await?;
        Ok(entries.into_iter().map(|entry| entry.record).filter(|r| !r.state.is_last()).collect())
    }

    /// Moves that are not over: their need counts on their target as well as on their source.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn in_flight(&self) -> Result<Vec<Move>, RolloutError> {
        Ok(self.active().await?.into_iter().map(|record| record.relocation).collect())
    }

    /// Rollouts that are not over or have ended since then, oldest first: what cooldown and budgets count.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn recent(&self, since: Timestamp) -> Result<Vec<RolloutRecord>, RolloutError> {
        self.shared.journal.since(since).await
    }

    /// Those that cooldown and the history of latency remember.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn remembered(&self) -> Result<Vec<RolloutRecord>, RolloutError> {
        self.recent(self.shared.clock.now().plus_ms(-REMEMBERED_MS)).await
    }

    /// The newest generation of a plan that was ever accepted; a new plan must be above it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn newest_generation(&self) -> Result<u64, RolloutError> {
        self.shared.journal.newest_generation().await
    }
}
