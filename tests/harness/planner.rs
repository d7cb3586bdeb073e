//! The planner's side of delivery: its ingest and its store, which can go down and come back.
use crate::stored::Stored;
use foremesh::clock::Clock;
use foremesh::ingest::{self, IngestSettings, IngestState, metrics::IngestMetrics};
use foremesh::store::metrics::StoreMetrics;
use foremesh::store::{SeriesStore, SqliteStore, StoreSettings};
use foremesh_core::time::{Step, Timestamp};
use foremesh_demo::{free_ports, unix_ms};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Length of a base step.
const STEP_MS: i64 = 1000;
/// How long the port may stay taken.
const BIND_PATIENCE: Duration = Duration::from_secs(10);

/// The real ingest and the real embedded store on one port and one file.
///
/// It runs in this process, on a thread with a runtime of its own. Going down ends that runtime at once, so connections
/// break and requests at hand get no answer, as when a process is killed; the file stays as it is.
#[derive(Debug)]
pub struct PlannerUnderTest {
    file: PathBuf,
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    store: Arc<SqliteStore>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl PlannerUnderTest {
    /// Starts on a free port with a new file in `directory`.
    pub async fn start(directory: &Path) -> Self {
        let port = free_ports(1).expect("loopback has a free port")[0];
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut planner = Self { file: directory.join("planner.db"), address, running: None };
        planner.up().await;
        planner
    }

    /// Where it listens, also while it is down.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts again, on the same port and file; does nothing when it is up.
    pub async fn up(&mut self) {
        if self.running.is_some() {
            return;
        }
        let base = Step::from_ms(STEP_MS).expect("a step of a second is valid");
        let settings = StoreSettings::from_base(base);
        let store = SqliteStore::open(&self.file, settings, Clock::System, StoreMetrics::default());
        let store = Arc::new(store.expect("the store can be opened"));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let (address, served) = (self.address, Arc::clone(&store));
        let thread = std::thread::spawn(move || serve(address, served, ready, stopped));
        is_ready.await.expect("the planner listens");
        self.running = Some(Running { store, stop, thread });
    }

    /// Goes down without a word to anybody.
    pub async fn down(&mut self) {
        let Some(Running { store, stop, thread }) = self.running.take() else { return };
        stop.send(()).expect("the planner runs until it is stopped");
        // The last reference waits for the store's thread.
        let end = move || {
            thread.join().expect("the planner ends without a panic");
            assert_eq!(Arc::strong_count(&store), 1, "a request still holds the store");
            drop(store);
        };
        tokio::task::spawn_blocking(end).await.expect("the planner goes down");
    }

    /// The store, for questions that [`Stored`] does not answer.
    ///
    /// # Panics
    /// When the planner is down.
    pub fn store(&self) -> &dyn SeriesStore {
        self.running.as_ref().expect("the planner is up").store.as_ref()
    }

    /// What is stored now.
    ///
    /// # Panics
    /// When the planner is down.
    pub async fn stored(&self) -> Stored {
        Stored::read(self.store(), now()).await
    }
}

impl Drop for PlannerUnderTest {
    fn drop(&mut self) {
        // The thread ends when the channel closes.
        self.running = None;
    }
}

/// The time by the wall clock.
pub fn now() -> Timestamp {
    Timestamp::from_unix_ms(unix_ms().cast_signed())
}

fn serve(
    address: SocketAddr,
    store: Arc<SqliteStore>,
    ready: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    runtime.block_on(async {
        let settings = IngestSettings::default();
        let state = IngestState::new(store, Clock::System, IngestMetrics::default(), settings);
        let listener = bind(address).await;
        ready.send(()).expect("the test waits for the planner");
        tokio::select! {
            served = ingest::serve(listener, ingest::router(state), std::future::pending()) => {
                served.expect("the listener works");
            }
            _ = stopped => {}
        }
    });
    // Ends every connection where it stands.
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// The port may be held for a moment by what was there before.
async fn bind(address: SocketAddr) -> TcpListener {
    let bind = async || TcpListener::bind(address).await.map_err(|error| error.to_string());
    crate::until("the planner's port", BIND_PATIENCE, bind).await
}
