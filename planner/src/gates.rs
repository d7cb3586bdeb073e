//! What the gates of a rollout look at: the proxies' own observations of one replica, read from the store.
use crate::{
    clock::Clock,
    rollout::GateSource,
    store::{Histogram, RangeQuery, SeriesStore},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ServiceId},
    rollout::gate::GateSample,
    time::Timestamp,
    units::Quantile,
};
use foremesh_summary::wire::Direction;
use std::sync::Arc;

/// Longest time without a summary from anybody after which "no requests" is "nobody looked", in milliseconds.
const WATCHED_WITHIN_MS: i64 = 15_000;

/// Gates on what was stored.
#[derive(Debug)]
pub struct StoreGates {
    /// Where observations are.
    pub store: Arc<dyn SeriesStore>,
    /// Tells the time.
    pub clock: Clock,
}

#[async_trait]
impl GateSource for StoreGates {
    async fn sample(
        &self,
        service: &ServiceId,
        node: &NodeId,
        quantile: Quantile,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<GateSample> {
        let read = async {
            self.store.flush(self.clock.now()).await?;
            let query = RangeQuery {
                from,
                to,
                direction: Some(Direction::Inbound),
                callee: Some(service.clone()),
                node: Some(node.clone()),
                ..RangeQuery::default()
            };
            Ok::<_, crate::store::StoreError>((self.store.range(query).await?, self.store.streams().await?))
        };
        let (steps, streams) = read
            .await
            .inspect_err(
                |error| tracing::warn!(%error, service = %service, node = %node, "gate cannot be read"),
            )
            .ok()?;
        let (mut requests, mut server_errors, mut latency) = (0, 0, Histogram::default());
        for step in &steps {
            requests += step.counts.finished();
            server_errors += step.counts.server_error;
            latency.merge(&step.latency);
        }
        // A filter is silent while its proxy has no traffic, so only somebody else's summaries show that it would
        // have been heard.
        let watched = streams.iter().any(|stream| stream.last_seen >= to.plus_ms(-WATCHED_WITHIN_MS));
        let latency_ms = latency.quantiles([quantile.get()]).map_or(f64::NAN, |[us]| us as f64 / 1e3);
        watched.then_some(GateSample { requests, server_errors, latency_ms })
    }
}
