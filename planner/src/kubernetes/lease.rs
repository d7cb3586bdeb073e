//! A planner that takes part in the election, and what it does first when it leads.
//!
//! The journal is this planner's own, and another one may have led since. Such a one has taken back what it did not know,
//! so what the list of what moves in the cluster does not have any more is over here too, and only the rest goes on. Then
//! what the list has and this journal does not is taken back. Until both are done nothing else is.
use super::{Fenced, Kubernetes, relocations::Relocations};
use crate::{
    causes::chain,
    durable,
    leader::Leader,
    platform::PlatformError,
    rollout::{RolloutError, Rollouts},
};
use foremesh_core::{
    ids::WorkloadId,
    rollout::{RolloutRecord, State},
};
use foremesh_kubernetes::{
    ClusterError,
    lease::{Elector, Leadership, Term},
    moving::Moved,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[cfg(test)]
mod tests;

/// How often is looked whether this planner leads.
const LOOKED_EVERY: Duration = Duration::from_millis(200);
/// Between two tries to take up what there is.
const TRIED_EVERY: Duration = Duration::from_secs(2);
/// Tries to take back what nobody knows of, before the rest goes on without.
const SWEEPS: u32 = 3;

/// Whether this planner may act: it leads, and has seen to what others have left.
#[derive(Debug)]
struct Lead {
    leadership: Leadership,
    /// Number of the term for which that was done; 0 before the first.
    ready: AtomicU64,
}

impl Lead {
    fn is_ready_for(&self, term: &Term) -> bool {
        self.ready.load(Ordering::SeqCst) == term.number
    }
}

impl Leader for Lead {
    fn refusal(&self) -> Option<String> {
        match self.leadership.term() {
            Err(why) => Some(why.to_string()),
            Ok(term) if self.is_ready_for(&term) => None,
            Ok(_) => {
                Some("this planner leads since a moment ago, and first sees to what was left".to_owned())
            }
        }
    }
}

/// A planner that takes part in the election.
#[derive(Debug)]
pub struct Candidate {
    elector: Elector,
    lead: Arc<Lead>,
    platform: Fenced<Kubernetes>,
    memory: PathBuf,
    shown: Relocations,
}

impl Candidate {
    /// One that has not begun; it remembers in this directory when it has led.
    pub(super) fn new(
        elector: Elector,
        platform: Fenced<Kubernetes>,
        shown: Relocations,
        state_directory: &Path,
    ) -> Self {
        let lead = Lead { leadership: elector.leadership(), ready: AtomicU64::new(0) };
        let memory = state_directory.join("lease.json");
        Self { elector, lead: Arc::new(lead), platform, memory, shown }
    }

    /// Tells whether this planner may act.
    pub fn leader(&self) -> Arc<dyn Leader> {
        Arc::clone(&self.lead) as _
    }

    /// Takes part until `stop` is ready, which must not be before the rollouts have ended; then gives the lease back.
    pub async fn run(self, rollouts: Arc<Rollouts>, stop: impl Future<Output = ()>) {
        let Self { elector, lead, platform, memory, shown } = self;
        tokio::select! {
            () = elector.run(stop) => {}
            () = lead_on(&lead, &platform, &rollouts, &memory) => {}
            () = shown.follow(&rollouts, &*lead) => {}
        }
    }
}

/// Sees to what was left, in each term, once.
async fn lead_on(lead: &Lead, platform: &Fenced<Kubernetes>, rollouts: &Rollouts, memory: &Path) {
    loop {
        tokio::time::sleep(LOOKED_EVERY).await;
        let Ok(term) = lead.leadership.term() else { continue };
        if lead.is_ready_for(&term) {
            continue;
        }
        match Box::pin(begin(platform, rollouts, memory, &term)).await {
            Ok(()) => {
                lead.ready.store(term.number, Ordering::SeqCst);
                tracing::info!(transitions = term.transitions, "this planner acts");
                if let Err(error) = rollouts.resume().await {
                    tracing::error!(error = %chain(&error), "rollouts go on with less patience");
                }
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "this planner leads and cannot begin; it tries again");
                tokio::time::sleep(TRIED_EVERY).await;
            }
        }
    }
}

/// Why a term cannot begin.
#[derive(Debug, thiserror::Error)]
enum CannotBegin {
    #[error("it is not known what moves in the cluster")]
    Platform(#[from] PlatformError),
    #[error("the rollouts could not be read")]
    Rollouts(#[from] RolloutError),
    #[error("file {} cannot be read or written; check its rights and the space left", path.display())]
    Memory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

async fn begin(
    platform: &Fenced<Kubernetes>,
    rollouts: &Rollouts,
    memory: &Path,
    term: &Term,
) -> Result<(), CannotBegin> {
    let mut ended = Vec::new();
    if !Led::read(memory)?.is_followed_by(term) {
        let moving = platform.moving().await?;
        for record in rollouts.active().await? {
            if let Some(why) = superseded(&record, moving.get(&record.relocation.workload)) {
                tracing::warn!(rollout = %record.id, state = %record.state, why, "rollout is over");
                rollouts.end(&record.id, why).await?;
                ended.push(record);
            }
        }
    }
    let active = rollouts.active().await?;
    let alive: BTreeSet<WorkloadId> = active.into_iter().map(|record| record.relocation.workload).collect();
    for tries in 1.. {
        match platform.sweep(&alive).await {
            Ok(()) => break,
            // What was begun by nobody known stays; its workloads are refused until it is taken back.
            Err(error) if tries == SWEEPS => {
                tracing::error!(error = %chain(&error), "moves of which nothing is known could not be looked for");
                break;
            }
            Err(_) => tokio::time::sleep(TRIED_EVERY).await,
        }
    }
    for record in ended {
        // Nobody moves it any more, so a route of it that is left is of a move that had hardly begun.
        if !alive.contains(&record.relocation.workload)
            && let Err(error) = platform.forget(&record.relocation.workload, &record.relocation.service).await
        {
            tracing::error!(rollout = %record.id, error = %chain(&error), "its route could not be looked for");
        }
    }
    Led::of(term).write(memory)
}

/// When this planner has led last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Led {
    lease: String,
    transitions: Option<u32>,
}

impl Led {
    fn of(term: &Term) -> Self {
        Self { lease: term.lease.clone(), transitions: Some(term.transitions) }
    }

    /// Whether nobody can have led between that and this term.
    fn is_followed_by(&self, term: &Term) -> bool {
        match self.transitions {
            // It goes on, or takes the lease from itself, as after a restart.
            Some(before) => {
                self.lease == term.lease
                    && (term.transitions == before || term.transitions.checked_sub(1) == Some(before))
            }
            // A journal from before there was an election.
            None => term.transitions == 0,
        }
    }

    fn read(path: &Path) -> Result<Self, CannotBegin> {
        match std::fs::read(path) {
            // One that cannot be read tells nothing, so everything is looked at.
            Ok(text) => Ok(serde_json::from_slice(&text)
                .unwrap_or(Self { lease: String::new(), transitions: Some(u32::MAX) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(CannotBegin::Memory { path: path.to_owned(), source }),
        }
    }

    fn write(&self, path: &Path) -> Result<(), CannotBegin> {
        let failed = |source| CannotBegin::Memory { path: path.to_owned(), source };
        let text = serde_json::to_vec(self).map_err(|error| failed(io::Error::other(error)))?;
        durable::replace_now(path, &text).map_err(failed)
    }
}

/// Why a rollout is over, although this journal does not know it yet: another planner has led since. `moved` is what the
/// cluster's list has of its workload.
fn superseded(record: &RolloutRecord, moved: Option<&Moved>) -> Option<&'static str> {
    let wanted = &record.relocation;
    match record.state {
        State::Succeeded | State::RolledBack | State::Aborted | State::Failed => None,
        State::Pending | State::Trial | State::Reserving => {
            Some("another planner has led since it was decided, and nothing was done for it yet")
        }
        // Nothing of it is in the list, and what is in force is looked at anyway.
        _ if wanted.is_shift() => None,
        // Whoever found it so went on to the end, and so does this one.
        State::Settling { retiring: true } => None,
        State::Surging
        | State::Ramping { .. }
        | State::Draining
        | State::Settling { retiring: false }
        | State::RollingBack { .. } => {
            let is_the_same = moved.is_some_and(|moved| {
                let known = moved.target.as_ref().zip(record.target.as_ref());
                moved.from == wanted.from && moved.to == wanted.to && known.is_none_or(|(a, b)| a == b)
            });
            (!is_the_same).then_some("another planner has led since, and has taken this move back")
        }
    }
}

/// A name that no other candidate has, and that this one keeps over a restart: nobody else works with its state directory,
/// which is locked, so it takes its own lease up again at once instead of waiting until that ends. A directory that was copied
/// to another host, or comes up again after its machine has, gets another name.
///
/// # Errors
/// When the file with the name cannot be read or written.
pub(super) fn identity(state_directory: &Path) -> Result<String, ClusterError> {
    use std::hash::{BuildHasher, Hasher};
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // There is none where the kernel is not Linux; then a name does not outlive its process.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let path = state_directory.join("candidate.json");
    let named = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice::<Named>(&text).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unnamed(&path, &error)),
    };
    if let Some(named) = named.filter(|named| !boot.is_empty() && named.host == host && named.boot == boot) {
        return Ok(named.name);
    }
    // Its keys are random, in each process.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let name = format!("{host}_{random:016x}");
    let text = serde_json::to_vec(&Named { name: name.clone(), host, boot })
        .map_err(|error| unnamed(&path, &io::Error::other(error)))?;
    durable::replace_now(&path, &text).map_err(|error| unnamed(&path, &error))?;
    Ok(name)
}

/// The name of a candidate, and where it was given.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    name: String,
    host: String,
    /// The kernel's number of this start of the machine.
    boot: String,
}

fn unnamed(path: &Path, error: &io::Error) -> ClusterError {
    ClusterError {
        object: format!("file {}", path.display()),
        problem: error.to_string(),
        remedy: "check its rights and the space left".to_owned(),
    }
}
