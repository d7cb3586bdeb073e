//! The write side of moves: a replica of a Deployment starts on another node beside the old one, and one of the two goes.
//!
//! The pod template is never touched. The number of replicas is raised by one, the placement webhook sends the new pod to
//! the planned node, and the cost of deletion says which pod goes when the number is lowered again. Until its promotion
//! that is the new one, so that anybody who puts the number back restores what was before. What was begun is kept in the
//! list of [`crate::moving`], and every method can be repeated after a crash at any point: it goes on with what it finds.
//! Which step follows from what is decided in `decide`, with a table of what happens when others scale meanwhile.
//!
//! A move is over when [`Relocate::release`] was called: until then pods keep their label, because a route by subsets gives no
//! traffic to pods without it. So the order at the end of a move, either way, is: `retire`, take the route away, `release`.
mod api;
mod check;
mod decide;
mod drive;
mod error;
mod limited;
mod ready;
mod seen;
#[cfg(test)]
mod tests;
mod trouble;

pub use error::{RelocateError, Why};

use crate::{
    News,
    moving::{MovedPhase, MovingList},
    webhook::Placement,
};
use api::Api;
use decide::{At, Step, Way};
use drive::Ended;
use foremesh_core::{
    ids::{NodeId, ReplicaId, WorkloadId},
    topology::Snapshot,
};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

/// Who writes, for `managedFields`.
const FIELD_MANAGER: &str = "foremesh";

/// How moves are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelocateSettings {
    /// Label of a namespace that is `true` where Foremesh may move workloads.
    pub opt_in_label: String,
    /// How long a new replica may take until its containers run on the planned node. Then it is taken back. The caller
    /// has to wait longer than for this and for [`Self::retire_within`] together, or it does not learn why.
    pub place_within: Duration,
    /// How long a replica may take until it is gone: its own time to drain, and the controller's.
    pub retire_within: Duration,
    /// How often is looked while something is waited for, unless it is told when something changes.
    pub poll: Duration,
}

impl Default for RelocateSettings {
    fn default() -> Self {
        Self {
            opt_in_label: "foremesh.dev/managed".to_owned(),
            place_within: Duration::from_secs(80),
            retire_within: Duration::from_secs(80),
            poll: Duration::from_millis(300),
        }
    }
}

/// Starts and stops replicas of Deployments on named nodes.
///
/// Its account must be able to, in the namespaces whose workloads are moved: get namespaces and deployments, list
/// replicasets, pods, services, endpointslices, limitranges and horizontalpodautoscalers, get and patch pods, patch
/// `deployments/scale` and horizontalpodautoscalers; and what [`MovingList`] needs.
#[derive(Clone)]
pub struct Relocate {
    api: Api,
    list: MovingList,
    settings: RelocateSettings,
    placement: Option<Arc<Placement>>,
    news: Option<News>,
}

impl fmt::Debug for Relocate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relocate")
            .field("list", &self.list)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Relocate {
    /// Moves through a client of the cluster what the list is kept of.
    pub fn new(client: kube::Client, list: MovingList, settings: RelocateSettings) -> Self {
        Self { api: Api::new(client), list, settings, placement: None, news: None }
    }

    /// Has the webhook ready before anything is scaled, and told when a move is over. Without it new pods go where
    /// somebody else sends them.
    #[must_use]
    pub fn with_placement(mut self, placement: Arc<Placement>) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Looks again when something is told instead of all the time, while something is waited for.
    #[must_use]
    pub fn with_news(mut self, news: News) -> Self {
        self.news = Some(news);
        self
    }

    /// Refuses what cannot be moved to the node, before anything is changed; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be moved, or that it could not be read.
    pub async fn prepare(
        &self,
        snapshot: &Snapshot,
        workload: &WorkloadId,
        node: &NodeId,
    ) -> Result<(), RelocateError> {
        let (namespace, name) = self.deployment(workload).await?;
        let (seen, entry) = (self.api.seen(namespace, name).await?, self.list.get(workload).await?);
        let at = At { workload, entry: entry.as_ref(), seen: &seen, late: false, raised: false };
        match &entry {
            Some(entry) if entry.to == *node && entry.phase != MovedPhase::Retiring => return Ok(()),
            Some(entry) if !decide::is_over(&at, entry, node) => {
                let problem = format!("its move from {} to {} is not over", entry.from, entry.to);
                let remedy = "let that move end, or have it taken back, and released";
                return Err(at.fail(Why::OtherMove, problem, remedy));
            }
            _ => {}
        }
        decide::settled(&at)?;
        check::check(snapshot, workload, node)?;
        let (ranges, pods) = futures::try_join!(
            self.api.list(namespace, api::LIMIT_RANGES, ""),
            self.api.list(namespace, api::PODS, "")
        )?;
        let own = pods.iter().filter(|pod| seen.pods.iter().any(|own| pod["metadata"]["name"] == own.name));
        match own.into_iter().find_map(|pod| limited::limited(pod, &ranges)) {
            None => Ok(()),
            Some(problem) => Err(at.fail(Why::Limited, problem, "change the limit range, or the workload")),
        }
    }

    /// Starts a replica on a node, or finds the one that was started for the move there, and returns its name when all of
    /// its containers run. What was begun is taken back when it comes to another node, or does not run in time. It can be
    /// called again then; else [`Self::release`] forgets it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn place(&self, workload: &WorkloadId, node: &NodeId) -> Result<ReplicaId, RelocateError> {
        let within = self.settings.place_within;
        match self.run(workload, within, true, |at| decide::place(at, node)).await? {
            Ended::Done(Some(replica)) => Ok(replica),
            Ended::Done(None) => Err(RelocateError::new(
                Why::NotFound,
                format!("workload `{workload}`"),
                "nothing was started",
                "report it as a fault of Foremesh",
            )),
            Ended::TakeBack(reason) => {
                tracing::warn!(%workload, %node, %reason, "the new replica is taken back");
                match self.leave(workload, |_, _| Ok(Way::Back)).await {
                    Ok(()) => Err(reason),
                    Err(error) => {
                        let problem =
                            format!("{}; and it could not be taken back yet: {error}", reason.problem);
                        Err(RelocateError { problem, ..reason })
                    }
                }
            }
        }
    }

    /// Whether a replica is ready on a node, and a ready endpoint of every service that selects it.
    ///
    /// # Errors
    /// When it could not be asked, which is neither yes nor no.
    pub async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<bool, RelocateError> {
        Ok(match self.readiness(workload, node, replica).await? {
            Ok(()) => true,
            Err(why) => {
                tracing::debug!(%workload, %replica, %node, why, "replica is not ready");
                false
            }
        })
    }

    /// The same, with the reason why it is not.
    ///
    /// # Errors
    /// When it could not be asked.
    pub async fn readiness(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<Result<(), String>, RelocateError> {
        let (namespace, _) = names(workload)?;
        let pod = match ready::pod(self.api.get(namespace, api::PODS, replica.as_str()).await?, node.as_str())
        {
            Ok(pod) => pod,
            Err(why) => return Ok(Err(why)),
        };
        let services = ready::of_pod(&self.api.list(namespace, api::SERVICES, "").await?, &pod);
        if services.is_empty() {
            return Ok(Ok(()));
        }
        let slices = self.api.list(namespace, api::SLICES, &ready::slices(&services)).await?;
        Ok(ready::reached(&pod, &services, &slices))
    }

    /// Whether the pods of a move are replaced by others, and how that is seen: the template was changed, or neither the old
    /// pods nor the new one are there any more.
    ///
    /// # Errors
    /// When it could not be asked.
    pub async fn overtaken(&self, workload: &WorkloadId) -> Result<Option<String>, RelocateError> {
        let (namespace, name) = names(workload)?;
        let (entry, seen) = (self.list.get(workload).await?, self.api.seen(namespace, name).await?);
        let at = At { workload, entry: entry.as_ref(), seen: &seen, late: false, raised: false };
        Ok(decide::overtaken(&at))
    }

    /// Stops one of the two replicas of a move: the new one, on the node that it went to, or the old one. It returns when
    /// it is gone. It is content when nothing is moved and there is no such replica.
    ///
    /// # Errors
    /// Why it is still there; loudly when another one was taken in its place.
    pub async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: Option<&ReplicaId>,
    ) -> Result<(), RelocateError> {
        let (namespace, name) = names(workload)?;
        if self.list.get(workload).await?.is_some() {
            return self.leave(workload, |at, entry| decide::way(at, entry, node, replica)).await;
        }
        let Some(replica) = replica else { return Ok(()) };
        let seen = self.api.seen(namespace, name).await?;
        let at = At { workload, entry: None, seen: &seen, late: false, raised: false };
        if seen.live_pod(replica.as_str()).is_some() {
            let problem = format!("replica `{replica}` runs on {node}, and nothing is known of a move of it");
            return Err(at.fail(Why::OtherMove, problem, "scale it by hand when it has a replica too many"));
        }
        Ok(())
    }

    /// Ends a move whose replica was retired and whose routes are gone: takes labels away and forgets it. Is content when
    /// nothing is known of a move.
    ///
    /// # Errors
    /// What could not be written.
    pub async fn release(&self, workload: &WorkloadId) -> Result<(), RelocateError> {
        let released = |at: &At<'_>| match at.entry {
            Some(_) => decide::release(at),
            None => Step::Done(None),
        };
        self.run(workload, self.settings.retire_within, false, released).await?;
        if let Some(placement) = &self.placement
            && let Err(error) = placement.disarm().await
        {
            tracing::warn!(%workload, %error, "the placement webhook will be told later that a move is over");
        }
        Ok(())
    }

    /// Takes a move back of which nobody knows any more, or ends it when its old replica is gone already.
    ///
    /// Its routes must be gone: the new replica may have had all of the traffic.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn abandon(&self, workload: &WorkloadId) -> Result<(), RelocateError> {
        self.leave(workload, |at, entry| Ok(decide::forsaken(at, entry))).await?;
        self.release(workload).await
    }

    /// Abandons all moves but those of these workloads. To be called when the planner starts. Returns what was abandoned,
    /// and what could not be.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn sweep(
        &self,
        alive: &BTreeSet<WorkloadId>,
    ) -> Result<Vec<(WorkloadId, Result<(), RelocateError>)>, RelocateError> {
        let mut swept = Vec::new();
        for workload in self.list.all().await?.into_keys().filter(|workload| !alive.contains(workload)) {
            let outcome = self.abandon(&workload).await;
            match &outcome {
                Ok(()) => tracing::warn!(%workload, "a move of which nothing is known was taken back"),
                Err(error) => {
                    tracing::error!(%workload, %error, "a move of which nothing is known could not be taken back");
                }
            }
            swept.push((workload, outcome));
        }
        Ok(swept)
    }

    /// The Deployment of a workload, which is one that may be moved.
    async fn deployment<'w>(&self, workload: &'w WorkloadId) -> Result<(&'w str, &'w str), RelocateError> {
        let object = format!("workload `{workload}`");
        let (namespace, name) = names(workload)?;
        let labels = self.api.namespace(namespace).await?;
        let label = &self.settings.opt_in_label;
        if labels.is_none_or(|labels| labels[label] != "true") {
            let problem = format!("its namespace has no label {label}=true");
            let remedy = format!("opt in with `kubectl label namespace {namespace} {label}=true`");
            return Err(RelocateError::new(Why::NotOptedIn, object, problem, remedy));
        }
        if self.api.get(namespace, api::DEPLOYMENTS, name).await?.is_some() {
            return Ok((namespace, name));
        }
        for (kind, word, because) in [
            (
                api::STATEFUL_SETS,
                "stateful set",
                "its replicas have names, and often storage, that no second one can have",
            ),
            (api::DAEMON_SETS, "daemon set", "it has a replica on every node already"),
            (api::PODS, "pod of its own", "no controller makes another one in its place"),
        ] {
            if self.api.get(namespace, kind, name).await?.is_some() {
                let problem = format!("it cannot be moved, because it is a {word}: {because}");
                return Err(RelocateError::new(
                    Why::NotADeployment,
                    object,
                    problem,
                    "move Deployments only",
                ));
            }
        }
        let remedy = "name a Deployment that is there";
        Err(RelocateError::new(Why::NotFound, object, "there is no such Deployment", remedy))
    }
}

/// Namespace and name of a Deployment.
fn names(workload: &WorkloadId) -> Result<(&str, &str), RelocateError> {
    let parts = workload.as_str().split_once('/').filter(|(_, name)| !name.contains('/'));
    parts.ok_or_else(|| {
        let kind = workload.as_str().split('/').nth(1).unwrap_or("nothing of a namespace");
        let problem =
            format!("it cannot be moved, because it is a {kind}, whose replicas can have none beside them");
        RelocateError::new(
            Why::NotADeployment,
            format!("workload `{workload}`"),
            problem,
            "move Deployments only",
        )
    })
}
