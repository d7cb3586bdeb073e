//! Brings the resources to what the journal has, again and again.
use super::{
    decide::{Keep, Known, Write, decide},
    object::wanted,
    store::{Found, Store, StoreError},
};
use crate::News;
use async_trait::async_trait;
use foremesh_core::{
    ids::RolloutId,
    rollout::{Phase, RolloutRecord},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

/// What the journal is asked for.
#[async_trait]
pub trait Journal: Send + Sync + Debug {
    /// Rollouts that are not over.
    async fn active(&self) -> Result<Vec<RolloutRecord>, JournalError>;

    /// A rollout, if there is one of that name.
    async fn get(&self, rollout: &RolloutId) -> Result<Option<RolloutRecord>, JournalError>;

    /// Rollouts of which it is known what became of them after they were over.
    async fn noted(&self) -> Result<Vec<RolloutRecord>, JournalError> {
        Ok(Vec::new())
    }

    /// Asks a rollout to turn back. Is content when it does already, or cannot any more.
    async fn abort(&self, rollout: &RolloutId, why: &str) -> Result<(), JournalError>;
}

/// The journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the journal of rollouts did not answer")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Why a look came to no end.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The cluster.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What was seen of rollouts by this process, and where they are shown.
#[derive(Debug)]
pub struct Projection {
    store: Store,
    keep: Keep,
    /// Seen going on, with their end not written yet.
    owed: BTreeSet<RolloutId>,
    /// Asked to turn back.
    asked: BTreeSet<RolloutId>,
}

impl Projection {
    /// One that has seen nothing yet.
    pub const fn new(store: Store, keep: Keep) -> Self {
        Self { store, keep, owed: BTreeSet::new(), asked: BTreeSet::new() }
    }

    /// Tells when a resource changes, where they are watched.
    pub fn news(&self) -> Option<News> {
        self.store.news()
    }

    /// One look at both, and all that follows from it. What fails is left to the next look, and holds nothing else up.
    ///
    /// # Errors
    /// The first failure.
    pub async fn look(&mut self, journal: &dyn Journal, now: Timestamp) -> Result<(), ProjectionError> {
        let found = self.store.found().await?;
        let records = self.records(journal, &found).await?;
        let known: Vec<Known> = records.values().filter_map(|record| self.known(record)).collect();
        let mut first = Ok(());
        for write in decide(&known, &found, self.keep, now) {
            if let Err(error) = self.carry_out(write, journal, &records, now).await {
                first = first.and(Err(error));
            }
        }
        first
    }

    /// Those that are not over, those whose end is to be written, and those that were judged since.
    async fn records(
        &mut self,
        journal: &dyn Journal,
        found: &[Found],
    ) -> Result<BTreeMap<RolloutId, RolloutRecord>, JournalError> {
        let active = journal.active().await?;
        let mut records: BTreeMap<_, _> =
            active.into_iter().map(|record| (record.id.clone(), record)).collect();
        let in_doubt = found
            .iter()
            .filter(|found| !found.is_over() || found.is_lost())
            .map(|found| found.rollout.clone());
        let ended: BTreeSet<_> = in_doubt.chain(self.owed.iter().cloned()).collect();
        self.owed.extend(records.keys().cloned());
        for rollout in ended {
            if !records.contains_key(&rollout)
                && let Some(record) = journal.get(&rollout).await?
            {
                records.insert(rollout, record);
            }
        }
        let shown: BTreeSet<_> = found.iter().map(|found| &found.rollout).collect();
        for record in journal.noted().await? {
            if shown.contains(&record.id) {
                records.entry(record.id.clone()).or_insert(record);
            }
        }
        self.owed.retain(|rollout| records.contains_key(rollout));
        self.asked.retain(|rollout| records.contains_key(rollout));
        Ok(records)
    }

    fn known(&self, record: &RolloutRecord) -> Option<Known> {
        let turns_back = record.state.phase() == Phase::RollingBack || record.state.is_past_return();
        Some(Known {
            rollout: record.id.clone(),
            wanted: wanted(record, self.store.planner())?,
            over: record.state.is_last(),
            can_abort: !turns_back && !self.asked.contains(&record.id),
            owed: self.owed.contains(&record.id),
        })
    }

    async fn carry_out(
        &mut self,
        write: Write<'_>,
        journal: &dyn Journal,
        records: &BTreeMap<RolloutId, RolloutRecord>,
        now: Timestamp,
    ) -> Result<(), ProjectionError> {
        let of = |known: &Known| records.get(&known.rollout);
        match write {
            Write::Make(known) => {
                let made = self.store.make(&known.wanted).await?;
                let mut status = known.wanted.status.clone();
                status.observed_generation = made.generation;
                self.store.say(&made, of(known).map(|record| (known, record)), &status, now).await?;
                if known.over {
                    self.store.let_go(&made).await?;
                    self.owed.remove(&known.rollout);
                }
            }
            Write::Say(found, known, status) => {
                let known = known.and_then(|known| Some((known, of(known)?)));
                self.store.say(found, known, &status, now).await?;
                if let Some((known, _)) = known.filter(|(known, _)| known.over) {
                    self.owed.remove(&known.rollout);
                }
            }
            Write::LetGo(found) => self.store.let_go(found).await?,
            Write::Delete(found) => self.store.delete(found).await?,
            Write::Abort(known, why) => {
                journal.abort(&known.rollout, &why).await?;
                self.asked.insert(known.rollout.clone());
            }
        }
        Ok(())
    }
}
