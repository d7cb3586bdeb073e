//! Trials of moves in a cluster.
#[cfg(test)]
mod real;

use super::Kubernetes;
use crate::{
    platform::{PlatformError, StagingMesh},
    rollout::RolloutSettings,
    settings::{KubernetesSettings, StagingSettings},
    trial::{Ends, sent},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::RolloutId,
    policy::Callees,
    trial::{TrialLimits, TrialOrder, TrialSamples},
};
use foremesh_kubernetes::{
    ClusterError, ClusterSettings, client,
    staging::{Staging, StagingPlace, Wanted},
};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

/// How much longer than a trial its copies may live, when no planner comes back.
const GRACE: Duration = Duration::from_secs(120);
/// How long a sidecar on the same machine may take to accept a connection.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(700);

/// A staging mesh in the same cluster, or in another one whose nodes are called alike.
#[derive(Clone, Debug)]
pub struct Trials {
    staging: Staging,
    limits: TrialLimits,
}

impl Trials {
    /// Makes nothing yet.
    pub(super) async fn open(
        settings: &KubernetesSettings,
        staging: &StagingSettings,
    ) -> Result<Self, ClusterError> {
        let production = client(&settings.cluster()).await?;
        let tried_in = if staging.kubeconfig.is_none() && staging.context.is_none() {
            production.clone()
        } else {
            let kubeconfig = staging.kubeconfig.clone().or_else(|| settings.kubeconfig.clone());
            let other =
                ClusterSettings { kubeconfig, context: staging.context.clone(), ..settings.cluster() };
            client(&other).await?
        };
        let place = StagingPlace {
            namespace: staging.namespace.clone(),
            secrets: staging.copy_secrets,
            domain: settings.cluster_domain.clone(),
        };
        Ok(Self { staging: Staging::new(production, tried_in, place), limits: staging.limits() })
    }

    fn wanted(rollout: &RolloutId, order: &TrialOrder) -> Wanted {
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Wanted {
            id: rollout.to_string(),
            workload: order.workload.clone(),
            service: order.service.clone(),
            source: order.source.clone(),
            target: order.target.clone(),
            port: order.port,
            calls_production: order.callees == Callees::Production,
            copy_secrets: order.copy_secrets,
            paths: order.requests.iter().map(|request| request.path.clone()).collect(),
            start_within: millis(order.start_within_ms),
            lives: millis(order.limit_ms()) + GRACE,
        }
    }

    /// Removes what interrupted trials have left.
    pub(super) async fn swept(&self) -> Result<(), ClusterError> {
        for trial in self.staging.sweep().await? {
            tracing::warn!(trial, "what an interrupted trial had left was removed");
        }
        Ok(())
    }

    /// Looks whether trials can be made.
    pub(super) async fn checked(&self) -> Result<(), ClusterError> {
        self.staging.check().await
    }
}

#[async_trait]
impl StagingMesh for Trials {
    fn limits(&self) -> TrialLimits {
        self.limits.clone()
    }

    async fn try_move(&self, rollout: &RolloutId, order: &TrialOrder) -> Result<TrialSamples, PlatformError> {
        let copies = self.staging.start(&Self::wanted(rollout, order)).await?;
        if is_intercepted(copies.target.port()).await {
            return Err(PlatformError::Refused {
                object: format!("trial of `{}`", order.workload),
                problem: "what the planner sends goes through a sidecar, which would send the load to production, by its \
                          host name"
                    .to_owned(),
                remedy: "give the planner's pod the annotation traffic.sidecar.istio.io/includeOutboundIPRanges: \"\", as \
                         `foremesh install planner --trials` does"
                    .to_owned(),
            });
        }
        let ends = Ends { source: copies.source, target: copies.target, host: order.service.to_string() };
        let note = "measured by the planner, whose requests went straight to the copies' sidecars";
        sent(&ends, order, note).await
    }

    async fn clear(&self, rollout: &RolloutId) -> Result<(), PlatformError> {
        Ok(self.staging.clear(rollout.as_str()).await?)
    }

    async fn sweep(&self) -> Result<(), PlatformError> {
        Ok(self.swept().await?)
    }
}

/// Whether something beside this process takes the connections that it makes: one to an address that nobody has is accepted
/// then.
async fn is_intercepted(port: u16) -> bool {
    // Of documents alone (RFC 5737).
    let nobody = SocketAddr::from(([192, 0, 2, 1], port));
    matches!(tokio::time::timeout(ACCEPTED_WITHIN, TcpStream::connect(nobody)).await, Ok(Ok(_)))
}

impl Kubernetes {
    /// Whether moves can be tried, where the settings want that; what is missing, and how it is made, otherwise.
    pub async fn check_staging(&self) -> Option<Result<(), ClusterError>> {
        let trials = self.trials.as_ref()?;
        Some(trials.checked().await)
    }

    /// Where moves are tried, as strictly as the gates of rollouts judge; none when the settings name no staging mesh.
    pub fn staging(&self, rollout: &RolloutSettings) -> Option<Trials> {
        let mut trials = self.trials.clone()?;
        trials.limits = rollout.judging(&trials.limits);
        Some(trials)
    }
}
