//! The usual arrangement of a test: a service, a proxy with ten routes before it, and the planner.
use crate::{Backend, Place, PlannerUnderTest, Proxy, ProxySpec, Route, Stored, until};
use std::time::Duration;

/// Routes of the proxy.
const ROUTES: usize = 10;
/// How long delivery may take after its last obstacle is gone: the longest back-off of the filter (20 s), the time-out
/// of a call, and what a busy machine adds.
const DELIVERY: Duration = Duration::from_secs(45);

/// Service, proxy and planner of one test.
#[derive(Debug)]
pub struct Rig {
    /// The proxy with the filter; first, so that it ends before what it leans on.
    pub proxy: Proxy,
    /// The planner's ingest and store.
    pub planner: PlannerUnderTest,
    /// The service.
    pub backend: Backend,
    /// Programs and directory.
    pub place: Place,
}

impl Rig {
    /// Starts all of it; `adjust` may change the proxy before it starts.
    pub async fn start(adjust: impl AsyncFnOnce(&mut ProxySpec)) -> Self {
        let place = Place::new();
        let backend = Backend::start().await;
        let planner = PlannerUnderTest::start(place.directory()).await;
        let routes = Route::many(ROUTES, backend.address());
        let mut spec = ProxySpec::new("shop-1", routes, planner.address());
        adjust(&mut spec).await;
        let proxy = Proxy::start(&place, spec).await;
        Self { proxy, planner, backend, place }
    }

    /// Waits until as many observations are stored, then watches for `watch` that nothing more comes, and asserts that
    /// they are exactly these (see [`Stored::assert_exact`]).
    ///
    /// `watch` is longer than it takes the filter to send again what is not acknowledged, where that can happen.
    pub async fn settle(&self, sent: u64, watch: Duration) -> Stored {
        let arrived = async || {
            let stored = self.planner.stored().await;
            if stored.observations() >= sent { Ok(()) } else { Err(stored.describe()) }
        };
        until(&format!("{sent} observations to be stored"), DELIVERY, arrived).await;
        tokio::time::sleep(watch).await;
        let stored = self.planner.stored().await;
        stored.assert_exact(sent);
        stored
    }
}
