//! A platform that counts what is done to it, and a lease that ends.
use super::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// Each change is three writes, a second apart.
#[derive(Clone, Debug, Default)]
struct Written(Arc<AtomicUsize>);

impl Written {
    async fn change(&self) -> Result<(), PlatformError> {
        for _ in 0..3 {
            self.0.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Relocator for Written {
    async fn prepare(&self, _: &WorkloadId, _: &NodeId) -> Result<(), PlatformError> {
        self.change().await
    }

    async fn place(
        &self,
        _: &WorkloadId,
        _: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        self.change().await.map(|()| ReplicaId::from("cart-2"))
    }

    async fn is_ready(&self, _: &WorkloadId, _: &NodeId, _: &ReplicaId) -> Result<bool, PlatformError> {
        Ok(true)
    }

    async fn retire(&self, _: &WorkloadId, _: &NodeId, _: Option<&ReplicaId>) -> Result<(), PlatformError> {
        self.change().await
    }
}

#[async_trait]
impl TrafficShifter for Written {
    async fn weights(&self, _: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        Ok(BTreeMap::new())
    }

    async fn set_weights(&self, _: &ServiceId, _: &BTreeMap<ReplicaId, u32>) -> Result<(), PlatformError> {
        self.change().await
    }

    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        self.change().await
    }
}

/// A platform whose lease ends at 10 s, and its clock in seconds.
fn fenced() -> (Arc<AtomicU64>, Written, Fenced<Written>) {
    let (now, platform) = (Arc::new(AtomicU64::new(0)), Written::default());
    let shown = Arc::clone(&now);
    let monotonic = Arc::new(move || Duration::from_secs(shown.load(Ordering::SeqCst)));
    let leadership = Leadership::held(monotonic, Duration::from_secs(10));
    (now, platform.clone(), Fenced::new(platform, leadership))
}

const CHANGES: [&str; 5] = ["prepare", "place", "retire", "set weights", "restore"];

async fn change(of: &Fenced<Written>, what: &str) -> Result<(), PlatformError> {
    let (workload, service) = (WorkloadId::from("shop/cart"), ServiceId::from("cart.shop.svc.cluster.local"));
    let node = NodeId::from("node-2");
    match what {
        "prepare" => of.prepare(&workload, &node).await,
        "place" => of.place(&workload, &node, None).await.map(drop),
        "retire" => of.retire(&workload, &node, None).await,
        "set weights" => of.set_weights(&service, &BTreeMap::new()).await,
        _ => of.restore(&service).await,
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_needs_the_lease_and_stops_when_it_ends() {
    for what in CHANGES {
        let (now, platform, fenced) = fenced();
        change(&fenced, what).await.unwrap();
        assert_eq!(platform.count(), 3, "{what}");

        let ending = async {
            sleep(Duration::from_millis(1_500)).await;
            now.store(10, Ordering::SeqCst);
        };
        let (cut_off, ()) = tokio::join!(change(&fenced, what), ending);
        assert!(cut_off.unwrap_err().to_string().contains("is not the leader"), "{what}");
        assert_eq!(platform.count(), 5, "{what}: the third write was not made");

        let refused = change(&fenced, what).await.unwrap_err().to_string();
        assert!(
            refused.ends_with(
                "this planner is not the leader: its lease was not renewed in time; leave it to the planner that leads"
            ),
            "{what}: {refused}"
        );
        assert_eq!(platform.count(), 5, "{what}: nothing was begun");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_lead_still_looks() {
    let (now, _, fenced) = fenced();
    now.store(10, Ordering::SeqCst);
    let (workload, node, replica) =
        (WorkloadId::from("shop/cart"), NodeId::from("node-1"), ReplicaId::from("cart-1"));
    assert!(fenced.is_ready(&workload, &node, &replica).await.unwrap());
    assert!(fenced.weights(&ServiceId::from("cart.shop.svc.cluster.local")).await.unwrap().is_empty());
}
