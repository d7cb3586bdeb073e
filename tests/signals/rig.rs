//! Servers as processes, and the planner's signals over a store of their own.
use foremesh::{
    clock::Clock,
    ingest,
    signals::{
        Signals,
        settings::SignalSettings,
        status::{SourceStatus, Statuses},
    },
    store::{GaugeStep, Levels, SeriesStore, SqliteStore, StoreSettings, metrics::StoreMetrics},
};
use foremesh_core::time::{Step, Timestamp};
use foremesh_demo::{Child, ChildSpec, free_ports, unix_ms};
use foremesh_tests::until;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};

pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_ms(unix_ms().cast_signed())
}

pub(crate) fn port() -> u16 {
    free_ports(1).expect("loopback has a free port")[0]
}

async fn start(name: &str, directory: &Path, program: impl Into<PathBuf>, arguments: Vec<OsString>) -> Child {
    let spec = ChildSpec {
        name: name.to_owned(),
        program: program.into(),
        arguments,
        log: directory.join(format!("{name}.log")),
    };
    Child::start(spec).await.unwrap_or_else(|error| panic!("{error}; run `scripts/setup signals`"))
}

/// A node-exporter that answers.
pub(crate) async fn node_exporter(directory: &Path, port: u16) -> Child {
    let arguments = vec![format!("--web.listen-address=127.0.0.1:{port}").into()];
    let child = start("node-exporter", directory, "/usr/bin/prometheus-node-exporter", arguments).await;
    listens(port).await;
    child
}

/// cAdvisor for the root and the groups below this path; it reads them each second.
pub(crate) async fn cadvisor(directory: &Path, port: u16, cgroup: &str) -> Child {
    let arguments = vec![
        format!("--listen=127.0.0.1:{port}").into(),
        format!("--cgroup={cgroup}").into(),
        "--every=1s".into(),
    ];
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/bin/cadvisor");
    let child = start("cadvisor", directory, program, arguments).await;
    listens(port).await;
    child
}

/// A Prometheus that answers; it scrapes the exporter on `exporter` each second.
pub(crate) async fn prometheus(directory: &Path, port: u16, exporter: Option<u16>, more: &[&str]) -> Child {
    let targets = exporter.map(|port| format!("'127.0.0.1:{port}'")).unwrap_or_default();
    let node = format!("[{{job_name: node, static_configs: [{{targets: [{targets}]}}]}}]");
    prometheus_with(directory, port, &node, more).await
}

/// The same with these `scrape_configs`.
pub(crate) async fn prometheus_with(directory: &Path, port: u16, scrapes: &str, more: &[&str]) -> Child {
    let config = directory.join("prometheus.yml");
    let text = format!("global: {{scrape_interval: 1s}}\nscrape_configs: {scrapes}\n");
    fs::write(&config, text).expect("files can be written");
    let mut arguments: Vec<OsString> = vec![
        format!("--config.file={}", config.display()).into(),
        format!("--storage.tsdb.path={}", directory.join("tsdb").display()).into(),
        "--storage.tsdb.retention.time=1y".into(),
        format!("--web.listen-address=127.0.0.1:{port}").into(),
    ];
    arguments.extend(more.iter().map(Into::into));
    let child = start("prometheus", directory, "/usr/bin/prometheus", arguments).await;
    listens(port).await;
    child
}

/// Makes a server's past of a text in the format of OpenMetrics.
pub(crate) fn blocks(file: &Path, into: &Path) {
    let made = std::process::Command::new("/usr/bin/promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([file, into])
        .output()
        .expect("promtool is there; run `scripts/setup signals`");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

async fn listens(port: u16) {
    until(&format!("port {port} to be listened on"), SOON, async || {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        tokio::net::TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// The planner's signals, reading, with their routes served.
pub(crate) struct Running {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) statuses: Statuses,
    pub(crate) server: SocketAddr,
    _stop: watch::Sender<bool>,
}

impl Running {
    pub(crate) async fn start(directory: &Path, step_ms: i64, settings: &str) -> Self {
        let settings: SignalSettings = yaml_serde::from_str(settings).expect("the settings are right");
        settings.check().expect("the settings are within their limits");
        let step = Step::from_ms(step_ms).expect("a step is valid");
        let how = StoreSettings { levels: Levels::from_base(step), ..StoreSettings::from_base(step) };
        let store =
            SqliteStore::open(&directory.join("series.db"), how, Clock::System, StoreMetrics::default());
        let store = Arc::new(store.expect("the store can be opened"));
        let statuses = Statuses::default();
        let series = Arc::clone(&store) as Arc<dyn SeriesStore>;
        let signals = Signals::new(&settings, &BTreeMap::new(), series, Clock::System, statuses.clone());
        let signals = signals.expect("the clients can be made");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let server = listener.local_addr().expect("a listener has an address");
        tokio::spawn(ingest::serve(listener, signals.router(), std::future::pending()));
        let (stop, stopped) = watch::channel(false);
        signals.start(&stopped);
        Self { store, statuses, server, _stop: stop }
    }

    pub(crate) fn status(&self, source: &str) -> SourceStatus {
        self.statuses.all().get(source).cloned().expect("the source is known")
    }

    /// Everything at one level.
    pub(crate) async fn steps(&self, level: u8) -> Vec<GaugeStep> {
        let all = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(i64::MAX));
        self.store.gauge_range(level, all.0, all.1, None, None).await.expect("the store can be read")
    }
}
