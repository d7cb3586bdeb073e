//! Endpoints follow the tasks, for as long as the planner runs; and what interrupted moves have left is ended.
use super::{Swarm, answering::answering};
use crate::{causes::chain, platform::PlatformError, rollout::Rollouts};
use foremesh_core::ids::WorkloadId;
use foremesh_swarm::Events;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How often is looked for moves of which nobody knows.
const SWEPT_EVERY: Duration = Duration::from_secs(30);

impl Swarm {
    /// Runs until it is told to stop.
    pub async fn follow(self, rollouts: Arc<Rollouts>, mut stopped: watch::Receiver<bool>) {
        let following = async {
            let mut events = Events::listen(self.shared.client.clone());
            let mut trouble = String::new();
            loop {
                let told = self.followed().await.err().map_or_else(String::new, |error| chain(&error));
                if told != trouble {
                    if told.is_empty() {
                        tracing::info!("endpoints follow the tasks of the Swarm again");
                    } else {
                        tracing::warn!(error = told, "endpoints do not follow the tasks of the Swarm");
                    }
                    trouble = told;
                }
                events.next(self.shared.poll).await;
            }
        };
        // Beside it, because it waits for tasks.
        let sweeping = async {
            loop {
                if let Err(error) = self.sweep(&rollouts).await {
                    let error = chain(&error);
                    tracing::warn!(error, "what interrupted moves have left is not known");
                }
                sleep(SWEPT_EVERY).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = sweeping => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }

    /// Makes them follow once, for each service that can be reached.
    ///
    /// # Errors
    /// When the Swarm does not answer.
    pub async fn followed(&self) -> Result<(), PlatformError> {
        let shared = &*self.shared;
        let mut changing = shared.traffic.changing().await;
        let objects = shared.client.objects().await?;
        shared.keep_addresses(&objects.nodes);
        for (service, now) in answering(&objects) {
            if let Err(error) = shared.traffic.follow(&mut changing, &service, &now).await {
                let why = chain(&error);
                tracing::warn!(%service, why, "its endpoints stay what they were");
            }
        }
        Ok(())
    }

    /// Ends moves that no rollout knows of: of a planner that has lost its state, or of a rollout that has failed.
    async fn sweep(&self, rollouts: &Rollouts) -> Result<(), PlatformError> {
        // First the moves, then the rollouts: a rollout begins before its move, and ends after it.
        let moving = self.shared.relocate.all_moving().await?;
        if moving.is_empty() {
            return Ok(());
        }
        let active: BTreeSet<WorkloadId> = match rollouts.active().await {
            Ok(active) => active.into_iter().map(|record| record.relocation.workload).collect(),
            Err(error) => {
                tracing::warn!(%error, "rollouts are not known, so no move is ended");
                return Ok(());
            }
        };
        for surge in moving.iter().filter(|surge| !active.contains(&WorkloadId::from(surge.name.as_str()))) {
            let service = &surge.name;
            tracing::warn!(service, "a move of which nothing is known is ended");
            if let Err(error) = self.shared.forsake(surge).await {
                let error = chain(&error);
                tracing::error!(service, error, "a move of which nothing is known could not be ended");
            }
        }
        Ok(())
    }
}
