//! From decisions to deeds: looks, decides and does, until it is done.
use super::{
    Relocate,
    api::Written,
    decide::{self, At, Step, Way},
    error::{RelocateError, Why},
    names,
};
use crate::moving::Moved;
use foremesh_core::ids::{ReplicaId, WorkloadId};
use std::time::Duration;
use tokio::time::Instant;

/// How often is looked while something is waited for of which nothing new is told.
const LOOKED_EVERY: Duration = Duration::from_secs(2);

/// How a call ended.
pub(super) enum Ended {
    /// Done, with the replica that there is then.
    Done(Option<ReplicaId>),
    /// What was begun is to be taken back, because of this.
    TakeBack(RelocateError),
}

impl Relocate {
    /// Takes a replica away, whichever it is by the entry of the move.
    pub(super) async fn leave(
        &self,
        workload: &WorkloadId,
        which: impl Fn(&At<'_>, &Moved) -> Result<Way, RelocateError> + Send + Sync,
    ) -> Result<(), RelocateError> {
        let next = |at: &At<'_>| {
            let Some(entry) = at.entry else { return Step::Done(None) };
            match which(at, entry) {
                Ok(way) => decide::leave(at, entry, &way),
                Err(refused) => Step::Fail(refused),
            }
        };
        match self.run(workload, self.settings.retire_within, false, next).await? {
            Ended::Done(_) => Ok(()),
            Ended::TakeBack(reason) => Err(reason),
        }
    }

    /// Looks, decides and does, until it is done. When it `places`, no pod is asked for before the webhook is there.
    pub(super) async fn run(
        &self,
        workload: &WorkloadId,
        within: Duration,
        places: bool,
        next: impl Fn(&At<'_>) -> Step + Send + Sync,
    ) -> Result<Ended, RelocateError> {
        let (namespace, name) = names(workload)?;
        let (began, mut raised, mut waits) = (Instant::now(), false, String::new());
        let mut unarmed = self.placement.as_ref().filter(|_| places);
        loop {
            let mark = self.news.as_ref().and_then(|news| news.mark(namespace));
            let (entry, seen) = (self.list.get(workload).await?, self.api.seen(namespace, name).await?);
            let late = began.elapsed() > within;
            let at = At { workload, entry: entry.as_ref(), seen: &seen, late, raised };
            let step = next(&at);
            if began.elapsed() > within * 2
                && !matches!(step, Step::Done(_) | Step::Fail(_) | Step::TakeBack(_))
            {
                let problem =
                    format!("it does not come to rest within {:?}: {step:?} comes next again", within * 2);
                return Err(at.fail(
                    Why::Interfered,
                    problem,
                    "find in managedFields who else changes it all the time",
                ));
            }
            if !matches!(step, Step::Wait(_)) {
                tracing::debug!(%workload, ?step, "next step of a move");
            }
            if entry.is_some()
                && matches!(step, Step::Scale { .. } | Step::Least { .. } | Step::Wait(_))
                && let Some(placement) = unarmed.take()
                && let Err(error) = placement.arm().await
            {
                return Ok(Ended::TakeBack(error.into()));
            }
            let waited = matches!(step, Step::Wait(_));
            let written = match step {
                Step::Store(moved) => self.list.put(&moved).await.map(|()| Written::Stored)?,
                Step::Forget => self.list.remove(workload).await.map(|()| Written::Stored)?,
                Step::Scale { replicas, version } => {
                    let written = self.api.scale(namespace, name, replicas, &version).await?;
                    let more =
                        seen.deployment.as_ref().is_some_and(|deployment| replicas > deployment.wanted);
                    raised |= more && written == Written::Stored;
                    written
                }
                Step::Least { scaler, replicas, version } => {
                    let written = self.api.least(namespace, &scaler, replicas, &version).await?;
                    let more = seen.scalers.iter().any(|of| of.name == scaler && replicas > of.min);
                    raised |= more && written == Written::Stored;
                    written
                }
                Step::Mark(mark) => self.api.mark(namespace, &mark).await?,
                Step::Wait(what) => {
                    if what != waits {
                        tracing::debug!(%workload, what, "a move waits");
                        waits = what;
                    }
                    Written::Overtaken
                }
                Step::Done(replica) => return Ok(Ended::Done(replica)),
                Step::TakeBack(reason) => return Ok(Ended::TakeBack(reason)),
                Step::Fail(error) => return Err(error),
            };
            match &self.news {
                Some(news) if waited => news.more(namespace, mark, LOOKED_EVERY, self.settings.poll).await,
                _ if written == Written::Overtaken => tokio::time::sleep(self.settings.poll).await,
                _ => {}
            }
        }
    }
}
