//! Which questions a look at the hosts asks, and what they said.
//!
//! A host with `inventory` says in one answer all that runs on it. Any other is asked with `ready`, one workload at a time,
//! and with many workloads allowed on many hosts that would be a command for each pair. So only such pairs are asked with
//! every look as are recorded or answered when they were asked last; of all others a few, in turn, because somebody may
//! have started something by hand.
use super::{
    HostsPlatform, Shared,
    config::{Host, Kind},
    relocate::Answered,
    status::{State, Status},
    usage::{Inventory, Usage},
};
use crate::causes::chain;
use foremesh_core::ids::{NodeId, WorkloadId};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Mutex;

/// Pairs that are asked with a look although nothing is known to run there.
const IN_TURN: usize = 64;

/// A workload on a host.
pub(super) type Pair = (WorkloadId, NodeId);

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// Pairs that answered and are not recorded.
    found: BTreeSet<Pair>,
    /// Pairs of the others that were asked before the next one.
    asked: usize,
}

/// What is known of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ready: bool,
    /// Why it is not, where that is known.
    pub(super) because: Option<String>,
}

/// What one host said.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) usage: Option<Usage>,
    /// Workloads that were asked about; one that could not be is missing.
    pub(super) replicas: BTreeMap<WorkloadId, Seen>,
    /// Why the host could not be asked.
    pub(super) unreachable: Option<String>,
}

impl HostsPlatform {
    /// Asks all hosts at once.
    pub(super) async fn ask_all(
        &self,
        recorded: &BTreeMap<WorkloadId, BTreeSet<NodeId>>,
    ) -> BTreeMap<NodeId, Answer> {
        let shared = &*self.shared;
        let questions = shared.questions(recorded).await;
        let asked = shared.hosts.hosts.iter().map(|(name, host)| {
            let about = questions.get(name).cloned().unwrap_or_default();
            async move { (name.clone(), Box::pin(shared.ask(name, host, about, recorded)).await) }
        });
        let answers: BTreeMap<NodeId, Answer> = join_all(asked).await.into_iter().collect();
        shared.remember(recorded, &answers).await;
        answers
    }
}

impl Shared {
    /// About which workloads each host is asked by `ready`.
    async fn questions(
        &self,
        recorded: &BTreeMap<WorkloadId, BTreeSet<NodeId>>,
    ) -> BTreeMap<&NodeId, BTreeSet<&WorkloadId>> {
        let mut turns = self.turns.0.lock().await;
        let mut questions: BTreeMap<&NodeId, BTreeSet<&WorkloadId>> = BTreeMap::new();
        let (mut others, mut number) = (0, 0);
        let next = turns.asked;
        // All pairs are counted first, so that the turn goes on at the beginning after the last one.
        for counted in [false, true] {
            for (workload, hosted) in &self.hosts.workloads {
                for node in &hosted.allowed {
                    if self.hosts.host(node).is_none_or(|host| host.commands.inventory.is_some()) {
                        continue;
                    }
                    let known = recorded.get(workload).is_some_and(|hosts| hosts.contains(node))
                        || turns.found.contains(&(workload.clone(), node.clone()));
                    if !counted {
                        others += usize::from(!known);
                        continue;
                    }
                    let in_turn = !known && {
                        let ahead = (number + others - next % others.max(1)) % others.max(1);
                        number += 1;
                        ahead < IN_TURN
                    };
                    if known || in_turn {
                        questions.entry(node).or_default().insert(workload);
                    }
                }
            }
        }
        // A host that nothing else asks is asked about something, to know whether it is there.
        for (name, host) in &self.hosts.hosts {
            let about = self.hosts.workloads.iter().find(|(_, hosted)| hosted.allowed.contains(name));
            if let Some((workload, _)) =
                about.filter(|_| !host.commands.asks_host() && !questions.contains_key(name))
            {
                questions.entry(name).or_default().insert(workload);
            }
        }
        turns.asked = if others == 0 { 0 } else { (next + IN_TURN.min(others)) % others };
        questions
    }

    async fn remember(
        &self,
        recorded: &BTreeMap<WorkloadId, BTreeSet<NodeId>>,
        answers: &BTreeMap<NodeId, Answer>,
    ) {
        let mut turns = self.turns.0.lock().await;
        for (node, answer) in answers {
            for (workload, seen) in &answer.replicas {
                let is_recorded = recorded.get(workload).is_some_and(|hosts| hosts.contains(node));
                let pair = (workload.clone(), node.clone());
                if seen.ready && !is_recorded {
                    turns.found.insert(pair);
                } else {
                    turns.found.remove(&pair);
                }
            }
        }
    }

    /// All that is to be known of one host, side by side.
    async fn ask(
        &self,
        name: &NodeId,
        host: &Host,
        about: BTreeSet<&WorkloadId>,
        recorded: &BTreeMap<WorkloadId, BTreeSet<NodeId>>,
    ) -> Answer {
        let mut answer = Answer::default();
        let (usage, listed) = tokio::join!(self.usage(name, host), self.listed(name, host));
        match usage {
            Ok(usage) => answer.usage = usage,
            Err(error) => answer.unreachable = Some(chain(&error)),
        }
        let is_recorded =
            |workload: &WorkloadId| recorded.get(workload).is_some_and(|hosts| hosts.contains(name));
        let checked = match listed {
            Ok(Some(inventory)) => {
                if answer.usage.is_none() {
                    answer.usage.clone_from(&inventory.usage);
                }
                self.take(&mut answer, &inventory, name, is_recorded)
            }
            Ok(None) => about,
            Err(error) => {
                answer.unreachable = Some(chain(&error));
                BTreeSet::new()
            }
        };
        let checks = checked.iter().map(|workload| self.checked(workload, name, host, is_recorded(workload)));
        for (workload, check) in checked.iter().zip(join_all(checks).await) {
            match check {
                Ok(seen) => {
                    answer.replicas.insert((*workload).clone(), seen);
                }
                Err(why) => {
                    answer.unreachable.get_or_insert(why);
                }
            }
        }
        if let Some(reason) = &answer.unreachable {
            tracing::warn!(host = %name, reason, "host could not be asked");
        }
        answer
    }

    /// Takes over what `inventory` says, and gives the workloads whose ready check it leaves to be made.
    fn take<'a>(
        &'a self,
        answer: &mut Answer,
        inventory: &Inventory,
        name: &NodeId,
        is_recorded: impl Fn(&WorkloadId) -> bool,
    ) -> BTreeSet<&'a WorkloadId> {
        let mut unsaid = BTreeSet::new();
        for (workload, hosted) in &self.hosts.workloads {
            let listed = inventory.replicas.get(workload.as_str());
            if !hosted.allowed.contains(name) || (listed.is_none() && !is_recorded(workload)) {
                continue;
            }
            let status = inventory.status(workload);
            let ready = match (status.state, listed.and_then(|listed| listed.ready)) {
                (State::Running, Some(ready)) => ready,
                (State::Running, None) => {
                    unsaid.insert(workload);
                    continue;
                }
                _ => false,
            };
            let because = (!ready).then(|| not_ready(&status));
            answer.replicas.insert(workload.clone(), Seen { ready, because });
        }
        unsaid
    }

    /// The ready check, and where it fails what is known besides.
    async fn checked(
        &self,
        workload: &WorkloadId,
        name: &NodeId,
        host: &Host,
        is_recorded: bool,
    ) -> Result<Seen, String> {
        let because = match self.answered(workload, name, None).await {
            Ok(Answered::Yes) => return Ok(Seen { ready: true, because: None }),
            Ok(Answered::No(because)) => because,
            Err(error) => return Err(chain(&error)),
        };
        // Where nothing is to run, nobody wants to know why nothing does.
        if !is_recorded || host.commands.argv(Kind::Status, false).is_none() {
            return Ok(Seen { ready: false, because: Some(because) });
        }
        match self.status(workload, name).await {
            Ok(status) => Ok(Seen { ready: false, because: Some(not_ready(&status)) }),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// Why a replica of this state does not answer.
fn not_ready(status: &Status) -> String {
    match status.state {
        State::Running => format!("{status}, but does not answer its ready check"),
        State::Stopped | State::Failed => status.to_string(),
    }
}
