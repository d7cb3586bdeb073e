//! Moves: tasks by the Swarm, traffic by the endpoint files.
use super::{
    Shared, Swarm,
    shares::{self, Memory},
};
use crate::platform::{PlatformError, Relocator, TrafficShifter};
use async_trait::async_trait;
use foremesh_core::ids::{NodeId, ReplicaId, ServiceId, WorkloadId};
use foremesh_swarm::{
    Surge,
    mapping::{Names, replica_id},
};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Steps in which traffic goes from the task that stood in to the one that stays.
const STEPS: u32 = 5;

#[async_trait]
impl Relocator for Swarm {
    async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), PlatformError> {
        Ok(self.shared.relocate.prepare(workload, node).await?)
    }

    async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        leaving: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        Ok(self.shared.relocate.place(workload, node, leaving).await?)
    }

    async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<bool, PlatformError> {
        Ok(self.shared.relocate.is_ready(workload, node, replica).await?)
    }

    async fn overtaken(&self, workload: &WorkloadId) -> Result<Option<String>, PlatformError> {
        Ok(self.shared.relocate.overtaken(workload).await?)
    }

    async fn let_go(&self, workload: &WorkloadId) -> Result<(), PlatformError> {
        let shared = &*self.shared;
        if let Some(surge) = shared.relocate.moving(workload).await? {
            shared.replaced(&surge).await?;
            shared.give_back(&surge).await?;
            tokio::time::sleep(shared.drain).await;
        }
        Ok(shared.relocate.let_go(workload).await?)
    }

    async fn retire(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        let shared = &*self.shared;
        let Some(surge) = shared.relocate.moving(workload).await? else {
            return match replica {
                Some(replica) => Ok(shared.relocate.hand_over(workload, replica).await?),
                None => Ok(()),
            };
        };
        let ends = shared.ends(&surge).await?;
        if *node == ends.to {
            return Ok(shared.relocate.back(workload).await?);
        }
        // A replica that is not the one that moves is refused by this.
        let leaving = replica.cloned().unwrap_or(ends.leaving);
        shared.relocate.hand_over(workload, &leaving).await?;
        shared.stay(&surge, &ends.coming).await?;
        Ok(shared.relocate.finish(workload).await?)
    }
}

/// Both ends of a move.
struct Ends {
    to: NodeId,
    leaving: ReplicaId,
    coming: ReplicaId,
}

impl Shared {
    async fn ends(&self, surge: &Surge) -> Result<Ends, PlatformError> {
        let names = Names::of(&self.client.nodes().await?);
        let (from, to) = (names.name(&surge.from), names.name(&surge.to));
        let (leaving, coming) =
            (replica_id(&surge.name, surge.slot, &from), replica_id(&surge.name, surge.slot, &to));
        Ok(Ends { to, leaving, coming })
    }

    /// The traffic of the task that stood in goes to the slot's own in small steps, and the first one has time for what it
    /// still does.
    async fn stay(&self, surge: &Surge, coming: &ReplicaId) -> Result<(), PlatformError> {
        let service = ServiceId::from(surge.name.as_str());
        for step in 1..=STEPS {
            let percent = step * 100 / STEPS;
            let mut changing = self.traffic.changing().await;
            let now = self.answering(&service).await?;
            let known = self.traffic.known(&service).await?.unwrap_or_default();
            if shares::percent_at_own(&known, &now, coming) >= percent {
                continue;
            }
            let Some(switched) = shares::switched(&known, &now, coming, percent) else { break };
            let memory = changing.get(&service).cloned().unwrap_or_default();
            self.traffic.write(&mut changing, &service, switched, memory).await?;
            drop(changing);
            tokio::time::sleep(self.hand_over / STEPS).await;
        }
        tokio::time::sleep(self.drain).await;
        Ok(())
    }

    /// Waits until the update of somebody else is over and the slot's own task runs: until then what stands in for it serves,
    /// also where the update stops a task before it starts the next. Not once its placement is the planner's, which might
    /// keep that update from going on; and not for longer than any start may take.
    async fn replaced(&self, surge: &Surge) -> Result<(), PlatformError> {
        let service = ServiceId::from(surge.name.as_str());
        let began = Instant::now();
        while surge.hand_over.is_none() && began.elapsed() < self.start_within {
            let Some(now) = self.client.service(&surge.name).await? else { break };
            let updating = now.update_status.is_some_and(|status| status.is_open());
            let answering = self.answering(&service).await?;
            let own = answering.places.iter().any(|place| place.slot == surge.slot && !place.stands_in);
            if own && !updating {
                break;
            }
            tokio::time::sleep(self.poll).await;
        }
        Ok(())
    }

    /// Takes the traffic from what stands in for a slot.
    pub(super) async fn give_back(&self, surge: &Surge) -> Result<(), PlatformError> {
        let service = ServiceId::from(surge.name.as_str());
        let mut changing = self.traffic.changing().await;
        // A service that is gone has no traffic.
        let Ok(now) = self.answering(&service).await else { return Ok(()) };
        let Some(known) = self.traffic.known(&service).await? else { return Ok(()) };
        let memory = changing.get(&service).cloned().unwrap_or_default();
        if let Some((shares, memory)) = shares::given_back(&known, &memory, &now, surge.slot) {
            self.traffic.write(&mut changing, &service, shares, memory).await?;
        }
        Ok(())
    }

    /// Ends a move of which nobody knows any more: on when its slot was handed over, else back.
    pub(super) async fn forsake(&self, surge: &Surge) -> Result<(), PlatformError> {
        let workload = WorkloadId::from(surge.name.as_str());
        if self.relocate.overtaken(&workload).await?.is_some() {
            self.give_back(surge).await?;
            return Ok(self.relocate.let_go(&workload).await?);
        }
        if self.relocate.handed_over(&workload).await? {
            let ends = self.ends(surge).await?;
            self.relocate.hand_over(&workload, &ends.leaving).await?;
            self.stay(surge, &ends.coming).await?;
            return Ok(self.relocate.finish(&workload).await?);
        }
        self.give_back(surge).await?;
        tokio::time::sleep(self.drain).await;
        Ok(self.relocate.back(&workload).await?)
    }
}

#[async_trait]
impl TrafficShifter for Swarm {
    async fn weights(&self, service: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        let weights = self.shared.traffic.weights(service).await?;
        weights.ok_or_else(|| PlatformError::Refused {
            object: format!("weights of service `{service}`"),
            problem: "it has no endpoints yet".to_owned(),
            remedy: "wait until a task of it runs, or see `foremesh check`".to_owned(),
        })
    }

    async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        let shared = &*self.shared;
        let mut changing = shared.traffic.changing().await;
        let now = shared.answering(service).await?;
        let known = shared.traffic.known(service).await?.unwrap_or_default();
        let (shares, without) =
            shares::given(&known, &now, weights).map_err(|replica| PlatformError::Refused {
                object: format!("weights of service `{service}`"),
                problem: format!("`{replica}` answers nowhere"),
                remedy: "see `docker service ps`; it is given its weight when its task runs".to_owned(),
            })?;
        // Of those that do not answer at the moment it stays known what they had.
        let absent = changing.get(service).into_iter().flatten();
        let absent = absent.filter(|(id, _)| now.of(id).next().is_none() && !weights.contains_key(*id));
        let memory: Memory = absent.map(|(id, weight)| (id.clone(), *weight)).chain(without).collect();
        shared.traffic.write(&mut changing, service, shares, memory).await
    }

    /// Nothing to take away: the endpoint file is how traffic is shared out at all times.
    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        Ok(())
    }
}
