//! How long a change of endpoints takes to reach every proxy: a real server of endpoints, real connections, and proxies that
//! acknowledge as an Envoy does, with all the names that they want. Everything runs on one thread, the proxies too, so what the
//! planner alone needs is less.
use crate::{
    backtest::{cpu::Cpu, report::significant, score::median},
    endpoints::{
        Endpoint, EndpointFiles,
        ads::{Ads, AdsSettings},
    },
    platform::PlatformError,
};
use envoy_types::pb::envoy::{
    config::endpoint::v3::ClusterLoadAssignment,
    service::discovery::v3::{
        DiscoveryRequest, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
};
use foremesh_core::ids::{NodeId, ReplicaId, ServiceId, Zone};
use futures::channel::mpsc::unbounded;
use prost::Name;
use serde::Serialize;
use std::{
    cell::Cell,
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::LocalSet,
    time::{Instant, timeout},
};
use tonic::transport::{Channel, Error as TransportError};

/// No figure is worth a longer wait.
const PATIENCE: Duration = Duration::from_secs(120);
/// Replicas of each service.
const REPLICAS: u8 = 4;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct AdsBench {
    /// Proxies, each with a connection and a stream of its own that wants every service.
    pub streams: usize,
    /// Services.
    pub services: usize,
    /// Changes of one service.
    pub changes: usize,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AdsReport {
    /// Proxies.
    pub streams: usize,
    /// Services.
    pub services: usize,
    /// From the first connection until every proxy had every service, in milliseconds.
    pub start_ms: f64,
    /// From the change of one service, its file included, until the last proxy had it: the median of all changes.
    pub change_median_ms: f64,
    /// The slowest of them.
    pub change_max_ms: f64,
    /// CPU time of one such change, proxies included.
    pub change_cpu_ms: f64,
    /// How long it took to write a change of every service, one after the other.
    pub all_written_ms: f64,
    /// From the first of those until the last proxy had them all.
    pub all_ms: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum AdsBenchError {
    /// A file or the listener.
    #[error("the bench needs a temporary folder and a free port of loopback")]
    Io(#[from] io::Error),
    /// The endpoint files.
    #[error("endpoints cannot be written")]
    Files(#[from] PlatformError),
    /// A proxy.
    #[error(
        "a proxy of the bench cannot connect; raise the limit of open files (`ulimit -n`) to twice the streams"
    )]
    Connect(#[from] TransportError),
    /// A stream.
    #[error("a proxy of the bench gets no stream")]
    Stream(#[from] tonic::Status),
    /// Something got lost.
    #[error("{got} of {wanted} were received within {PATIENCE:?}")]
    Late {
        /// What came.
        got: usize,
        /// What should have come.
        wanted: usize,
    },
}

/// Assignments that all proxies together have received.
#[derive(Debug, Default)]
struct Received {
    count: Cell<usize>,
    wanted: Cell<usize>,
    reached: Notify,
}

impl Received {
    fn add(&self, assignments: usize) {
        self.count.set(self.count.get() + assignments);
        if self.count.get() >= self.wanted.get() {
            self.reached.notify_one();
        }
    }

    /// Waits until as many more came.
    async fn more(&self, assignments: usize) -> Result<(), AdsBenchError> {
        let wanted = self.wanted.get() + assignments;
        self.wanted.set(wanted);
        while self.count.get() < wanted {
            if timeout(PATIENCE, self.reached.notified()).await.is_err() {
                return Err(AdsBenchError::Late { got: self.count.get(), wanted });
            }
        }
        Ok(())
    }
}

/// Runs it on the current thread.
///
/// # Errors
/// When something cannot be started, or a change does not reach everybody.
pub fn run(bench: &AdsBench) -> Result<AdsReport, AdsBenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(bench))
}

async fn measure(bench: &AdsBench) -> Result<AdsReport, AdsBenchError> {
    let folder = tempfile::tempdir()?;
    let files = EndpointFiles::open(folder.path());
    let put = async |service: usize, weight: u32| {
        let id = ServiceId::new(format!("service-{service:04}"));
        files.replace(&id, &cluster(service), endpoints(service, weight)).await
    };
    for service in 0..bench.services {
        put(service, 100).await?;
    }
    let listener = AdsSettings { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) }.bind().await?;
    let address = format!("http://{}", listener.local_addr()?);
    let ads = Ads::start(listener, files.clone()).await;
    let received = Rc::new(Received::default());

    let begun = Instant::now();
    let mut proxies = Vec::with_capacity(bench.streams);
    for _ in 0..bench.streams {
        proxies.push(proxy(&address, bench.services, Rc::clone(&received)).await?);
    }
    received.more(bench.streams * bench.services).await?;
    let start_ms = ms(begun);

    let (mut changes, cpu) = (Vec::with_capacity(bench.changes), Cpu::start());
    for change in 0..bench.changes {
        let begun = Instant::now();
        put(change % bench.services.max(1), 101 + change as u32).await?;
        received.more(bench.streams).await?;
        changes.push(ms(begun));
    }
    let change_cpu_ms = cpu.seconds() * 1e3 / bench.changes.max(1) as f64;

    let begun = Instant::now();
    for service in 0..bench.services {
        put(service, 7).await?;
    }
    let all_written_ms = ms(begun);
    received.more(bench.streams * bench.services).await?;
    let all_ms = ms(begun);
    proxies.iter().for_each(tokio::task::JoinHandle::abort);
    ads.stop().await;
    Ok(AdsReport {
        streams: bench.streams,
        services: bench.services,
        start_ms: significant(start_ms, 4),
        change_median_ms: significant(median(changes.iter().copied()).unwrap_or(f64::NAN), 4),
        change_max_ms: significant(changes.iter().copied().fold(0.0, f64::max), 4),
        change_cpu_ms: significant(change_cpu_ms, 4),
        all_written_ms: significant(all_written_ms, 4),
        all_ms: significant(all_ms, 4),
    })
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn cluster(service: usize) -> String {
    format!("outbound|80||service-{service:04}")
}

fn endpoints(service: usize, weight: u32) -> BTreeMap<SocketAddr, Endpoint> {
    let [.., high, low] = (service as u32).to_be_bytes();
    let replica = |number: u8| {
        let node = format!("node-{number}");
        let endpoint = Endpoint {
            zone: Some(Zone::new(format!("zone-{}", number % 2))),
            weight: weight + u32::from(number),
            replica: Some(ReplicaId::new(format!("service-{service:04}@{node}"))),
            node: Some(NodeId::new(node)),
        };
        (SocketAddr::from((Ipv4Addr::new(10, number, high, low), 8080)), endpoint)
    };
    (0..REPLICAS).map(replica).collect()
}

/// Connects, asks for every service, and acknowledges whatever comes.
async fn proxy(
    address: &str,
    services: usize,
    received: Rc<Received>,
) -> Result<tokio::task::JoinHandle<()>, AdsBenchError> {
    let mut client = AggregatedDiscoveryServiceClient::<Channel>::connect(address.to_owned()).await?;
    let (requests, sent) = unbounded();
    let ask = move |version_info: String, response_nonce: String| DiscoveryRequest {
        version_info,
        response_nonce,
        resource_names: (0..services).map(cluster).collect(),
        type_url: ClusterLoadAssignment::type_url(),
        ..DiscoveryRequest::default()
    };
    let first = requests.unbounded_send(ask(String::new(), String::new()));
    let mut answers = client.stream_aggregated_resources(sent).await?.into_inner();
    Ok(tokio::task::spawn_local(async move {
        // A stream that ends early shows as what was not received.
        if first.is_err() {
            return;
        }
        while let Ok(Some(answer)) = answers.message().await {
            received.add(answer.resources.len());
            if requests.unbounded_send(ask(answer.version_info, answer.nonce)).is_err() {
                return;
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_reaches_every_stream() {
        let report = run(&AdsBench { streams: 5, services: 7, changes: 9 }).unwrap();
        assert!(
            report.change_median_ms > 0.0 && report.change_max_ms >= report.change_median_ms,
            "{report:?}"
        );
        assert!(report.all_ms >= report.all_written_ms && report.start_ms > 0.0, "{report:?}");
    }
}
