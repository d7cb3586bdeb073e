//! The composition root: builds every part, connects them, and takes them down in order.
mod place;

pub use place::PlatformPorts;
use place::{Opened, Place};

use crate::{
    api::{self, ApiState},
    approvals::{ApprovalLimits, ApprovalParts, Approvals, Turn},
    args::ServeArgs,
    audit::{Audit, AuditRetention, Kind},
    calendar::{CalendarMetrics, Calendars, FetchLimits},
    clock::Clock,
    control::{Control, ControlSettings, LatestInputs, Parts},
    endpoints::ads::Ads,
    filter_module::{FilterModule, MODULE_PATH},
    forecasts::{ExpertsSettings, NetSettings, NetTraining},
    gates::StoreGates,
    ingest::{self, IngestSettings, IngestState, metrics::IngestMetrics},
    kubernetes::{Candidate, Documents},
    lock::{LockError, lock},
    metrics::Metrics,
    observed::{Observed, ObservedSettings},
    policies::{self, Policies},
    published::Published,
    regressors::Regressors,
    retention::Retention,
    rollout::{RolloutPorts, Rollouts},
    settings::{Platform, Settings, Span},
    signals::{Signals, status::Statuses},
    store::{Level, Levels, SeriesStore, SqliteStore, StoreSettings, metrics::StoreMetrics},
    swarm::Swarm,
};
use anyhow::Context as _;
use axum::Router;
use foremesh_core::{rollout::RolloutRecord, time::Step};
use foremesh_summary::Limits;
use serde_json::json;
use std::{fs::File, path::Path, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Mutex, RwLock, oneshot, watch},
    task::JoinHandle,
};

/// How long requests and the running pass may take to end once the planner was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the planner until it is asked to stop.
///
/// # Errors
/// When a part cannot be started; nothing was changed then.
pub async fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(&args.config)?;
    let policies = policies::read_all(&settings.policies)?;
    policies.iter().try_for_each(|policy| policies::check_horizon(policy, settings.horizon))?;
    let place = Place::read(&settings.platform)?;
    let module = settings.filter_module.as_deref().map(FilterModule::read).transpose()?;
    // What is wrong with a file must be known before anything is made.
    Calendars::check(&settings.calendars, false, Clock::System).await?;
    std::fs::create_dir_all(&settings.state_directory).with_context(|| {
        format!(
            "state directory `{}` cannot be made; check its owner and rights",
            settings.state_directory.display()
        )
    })?;
    // Before any file in it is touched, and until the process ends.
    let _locked = lock_directory(&settings.state_directory)?;
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!("address {} cannot be listened on; stop what uses it, or change `listen`", settings.listen)
    })?;
    let module_listener = match settings.filter_listen {
        Some(address) => Some(TcpListener::bind(address).await.with_context(|| {
            format!("address {address} cannot be listened on; stop what uses it, or change `filterListen`")
        })?),
        None => None,
    };
    let endpoint_listener = match place.ads() {
        Some(ads) => Some(ads.bind().await.with_context(|| {
            format!(
                "address {} cannot be listened on; stop what uses it, or change `{}`",
                ads.listen,
                place.ads_setting()
            )
        })?),
        None => None,
    };
    let Opened { ports, candidate, endpoints, swarm } = place.open(&settings).await?;
    // Before anything else is read: Envoys that were started meanwhile wait for it.
    let ads = match endpoint_listener.zip(endpoints) {
        Some((listener, files)) => Some(Ads::start(listener, files).await),
        None => None,
    };
    let mut policies = Policies::of_files(policies);
    let resources = match &settings.platform {
        Platform::Kubernetes(cluster) => Documents::connect(cluster, settings.horizon, Clock::System).await?,
        Platform::Hosts(_) | Platform::Swarm(_) => None,
    };
    if let Some(resources) = &resources {
        policies = resources.policies(policies);
    }
    let mut assembled = Assembled::new(&settings, Arc::new(policies), ports, Clock::System).await?;
    assembled.documents = resources;
    assembled.swarm = swarm;
    if let Some(ads) = &ads {
        ads.metrics().register(&mut assembled.metrics.registry());
    }
    if let Some(module) = module {
        tracing::info!(sha256 = module.digest(), "the filter module is served at {MODULE_PATH}");
        if let Some(listener) = module_listener {
            tokio::spawn(ingest::serve(listener, module.clone().router(), terminated()));
        }
        assembled.router = assembled.router.merge(module.router());
    }
    let planner = Planner::start_as(assembled, candidate);
    tracing::info!(address = %settings.listen, "planner ready");
    planner.serve_until(listener, terminated()).await?;
    // Last, because rollouts may change weights until then.
    if let Some(ads) = ads {
        ads.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a state directory that another planner works with: two would make different decisions on the same hosts.
fn lock_directory(directory: &Path) -> anyhow::Result<File> {
    lock(&directory.join("planner.lock")).map_err(|error| match error {
        LockError::Held => anyhow::anyhow!(
            "state directory `{}` is in use by another planner; stop that one, or give this one its own \
             `stateDirectory`",
            directory.display()
        ),
        LockError::Failed(source) => anyhow::Error::new(source).context(format!(
            "state directory `{}` cannot be locked; check its owner and rights",
            directory.display()
        )),
    })
}

/// All parts, connected and not yet running: what [`Planner`] runs, and what tests drive step by step.
#[derive(Debug)]
pub struct Assembled {
    /// Ingest and API.
    pub router: Router,
    /// The loop.
    pub control: Control,
    /// What carries plans out.
    pub rollouts: Arc<Rollouts>,
    /// Where decisions are recorded.
    pub audit: Arc<Audit>,
    /// What forgets old records.
    pub retention: Retention,
    /// Known events.
    pub calendars: Arc<Calendars>,
    /// Series that explain ours.
    pub regressors: Arc<Regressors>,
    /// Who else measures.
    pub signals: Signals,
    /// Policies and calendars of a cluster.
    pub documents: Option<Documents>,
    /// A Swarm whose endpoints follow its tasks.
    pub swarm: Option<Swarm>,
    /// What is counted, to which parts outside add theirs.
    pub metrics: Arc<Metrics>,
    policies: Arc<Policies>,
    clock: Clock,
}

impl Assembled {
    /// Builds and connects every part but the listener.
    ///
    /// # Errors
    /// When a file of the state directory cannot be opened.
    pub async fn new(
        settings: &Settings,
        policies: Arc<Policies>,
        platform: PlatformPorts,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let step = Step::from_ms(settings.step.ms())?;
        let control_settings = control_settings(settings, &policies, step);
        let (statuses, calendar_metrics) = (Statuses::default(), CalendarMetrics::default());
        let (store_metrics, ingest_metrics, metrics) =
            (StoreMetrics::default(), IngestMetrics::default(), Arc::new(Metrics::default()));
        {
            let mut registry = metrics.registry();
            store_metrics.register(&mut registry);
            ingest_metrics.register(&mut registry);
            calendar_metrics.register(&mut registry);
            statuses.register(&mut registry);
        }
        let state = |name: &str| settings.state_directory.join(name);
        let calendars = Arc::new(Calendars::open(
            &settings.calendars,
            &state("calendar.db"),
            clock.clone(),
            FetchLimits::default(),
            calendar_metrics,
        )?);
        let file = state("regressors.db");
        let regressors = Arc::new(Regressors::open(&settings.regressors, &file, step, clock.clone())?);
        let audit = Arc::new(Audit::open(&state("audit.db"))?);
        let store = open_store(&state("series.db"), settings, step, &clock, store_metrics)?;
        let keep = kept(settings, &control_settings);
        let observed =
            Arc::new(RwLock::new(Observed::backfill(Arc::clone(&store), keep, clock.now()).await?));
        let (published, latest) = (Arc::new(Published::default()), Arc::new(LatestInputs::default()));
        let ports = RolloutPorts {
            relocator: platform.relocator,
            traffic: platform.traffic,
            staging: platform.staging,
            gate: Arc::new(StoreGates { store: Arc::clone(&store), clock: clock.clone() }),
            validator: Arc::clone(&latest) as _,
            reporter: Arc::clone(&audit) as _,
        };
        let journal = state("rollouts.db");
        let rollouts = Rollouts::open(&journal, settings.rollout.clone(), ports, clock.clone()).await?;
        audit.append(clock.now(), Kind::Event, None, &started(&rollouts.active().await?))?;
        let rollouts = Arc::new(rollouts);
        let turn = Turn::open(&audit, &rollouts, settings.approve_within.ms(), clock.now()).await?;
        let parts = Parts {
            clock: clock.clone(),
            store,
            observed,
            inventory: platform.inventory,
            rollouts: Arc::clone(&rollouts),
            audit: Arc::clone(&audit),
            published,
            latest,
            turn: Arc::new(Mutex::new(turn)),
            policies: Arc::clone(&policies),
            metrics: Arc::clone(&metrics),
            calendars: Arc::clone(&calendars),
            regressors: Arc::clone(&regressors),
        };
        let addresses = parts.inventory.addresses();
        let (series, ticking) = (Arc::clone(&parts.store), clock.clone());
        let signals = Signals::new(&settings.signals, &addresses, series, ticking, statuses.clone())?;
        let router = router(settings, &control_settings, &parts, statuses, ingest_metrics);
        Ok(Self {
            router: router.merge(signals.router()),
            control: Control::new(parts, control_settings),
            retention: retention(settings, &audit, &rollouts, &clock),
            rollouts,
            audit,
            calendars,
            regressors,
            signals,
            documents: None,
            swarm: None,
            metrics,
            policies,
            clock,
        })
    }
}

/// What is held in memory of what was observed.
fn kept(settings: &Settings, control: &ControlSettings) -> ObservedSettings {
    ObservedSettings {
        keep_ms: settings.retention.step.ms(),
        settle_ms: settings.lateness.ms(),
        // An hour of the usual day, and as much of a shorter one.
        tail_steps: control.season_steps / 24,
    }
}

fn retention(settings: &Settings, audit: &Arc<Audit>, rollouts: &Arc<Rollouts>, clock: &Clock) -> Retention {
    let kept = AuditRetention {
        plans_ms: settings.retention.moves.ms(),
        others_ms: settings.retention.audit.ms(),
        idle_ms: settings.retention.idle_passes.ms(),
        records_ms: settings.retention.records.ms(),
    };
    Retention { clock: clock.clone(), audit: Arc::clone(audit), rollouts: Arc::clone(rollouts), kept }
}

/// Ingest and API over the same parts as the loop.
fn router(
    settings: &Settings,
    control: &ControlSettings,
    parts: &Parts,
    signals: Statuses,
    metrics: IngestMetrics,
) -> Router {
    let pass_limit_ms = settings.stale_after.ms().max(settings.interval.ms().saturating_mul(3));
    let approvals = ApprovalParts {
        clock: parts.clock.clone(),
        audit: Arc::clone(&parts.audit),
        rollouts: Arc::clone(&parts.rollouts),
        latest: Arc::clone(&parts.latest),
        turn: Arc::clone(&parts.turn),
    };
    let limits = ApprovalLimits { within_ms: settings.approve_within.ms(), pass_ms: pass_limit_ms };
    let state = ApiState {
        clock: parts.clock.clone(),
        published: Arc::clone(&parts.published),
        observed: Arc::clone(&parts.observed),
        store: Arc::clone(&parts.store),
        rollouts: Arc::clone(&parts.rollouts),
        audit: Arc::clone(&parts.audit),
        approvals: Approvals::new(approvals, limits),
        metrics: Arc::clone(&parts.metrics),
        calendars: Arc::clone(&parts.calendars),
        regressors: Arc::clone(&parts.regressors),
        signals,
        forecast: control.forecast(),
        pass_limit_ms,
    };
    let limits = IngestSettings {
        limits: Limits { body_bytes: settings.ingest.max_body_bytes, ..Limits::default() },
        in_flight_bytes: settings.ingest.in_flight_bytes,
        ..IngestSettings::default()
    };
    let ingest = IngestState::new(Arc::clone(&parts.store), parts.clock.clone(), metrics, limits)
        .named_by(Arc::clone(&parts.inventory));
    ingest::router(ingest).merge(api::router(state))
}

/// All parts, running.
#[derive(Debug)]
pub struct Planner {
    router: Router,
    audit: Arc<Audit>,
    clock: Clock,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Ends after all others, because until then something may be changed.
    candidate: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Planner {
    /// Starts the loop and the rollouts.
    pub fn start(assembled: Assembled) -> Self {
        Self::start_as(assembled, None)
    }

    /// The same where several planners may work, as one of them.
    pub fn start_as(assembled: Assembled, candidate: Option<Candidate>) -> Self {
        let Assembled {
            router,
            control,
            rollouts,
            audit,
            retention,
            calendars,
            regressors,
            signals,
            documents,
            swarm,
            policies,
            clock,
            ..
        } = assembled;
        let (stop, stopped) = watch::channel(false);
        let candidate = candidate.map(|candidate| {
            rollouts.led_by(candidate.leader());
            let (end, ended) = oneshot::channel::<()>();
            let rollouts = Arc::clone(&rollouts);
            let ended = async {
                let _ = ended.await;
            };
            (end, tokio::spawn(candidate.run(rollouts, ended)))
        });
        let follower = swarm.map(|swarm| tokio::spawn(swarm.follow(Arc::clone(&rollouts), stopped.clone())));
        let mut until = stopped.clone();
        let rolling = async move {
            rollouts
                .run(async {
                    let _ = until.wait_for(|stop| *stop).await;
                })
                .await;
        };
        let mut tasks = signals.start(&stopped);
        tasks.extend(follower);
        tasks.extend(documents.map(|documents| {
            tokio::spawn(documents.follow(policies, Arc::clone(&calendars), stopped.clone()))
        }));
        tasks.extend([
            tokio::spawn(rolling),
            tokio::spawn(retention.run(stopped.clone())),
            tokio::spawn(calendars.run(stopped.clone())),
            tokio::spawn(regressors.run(stopped.clone())),
            tokio::spawn(control.run(stopped)),
        ]);
        Self { router, audit, clock, stop, tasks, candidate }
    }

    /// Serves until `stop` is ready, then finishes what was accepted and stops the parts.
    ///
    /// # Errors
    /// When the listener fails, or the end cannot be recorded.
    pub async fn serve_until(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let (begun, mut draining) = watch::channel(false);
        let ended = async move {
            stop.await;
            let _ = begun.send(true);
        };
        let serving = ingest::serve(listener, self.router, ended);
        let too_long = async {
            let _ = draining.wait_for(|begun| *begun).await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving => served.context("the listener failed")?,
            () = too_long => tracing::warn!("some requests did not end in time and were cut off"),
        }
        let _ = self.stop.send(true);
        let (ends, candidate) = self.candidate.unzip();
        let parts = self.tasks.into_iter().map(|task| (None, task)).chain(candidate.map(|task| (ends, task)));
        for (end, task) in parts {
            drop(end);
            if tokio::time::timeout(DRAIN, task).await.is_err() {
                tracing::warn!("a part did not end in time; what it was doing is resumed at the next start");
            }
        }
        self.audit.append(self.clock.now(), Kind::Event, None, &json!({"event": "planner_stopped"}))?;
        Ok(())
    }
}

fn started(active: &[RolloutRecord]) -> serde_json::Value {
    let resumed: Vec<_> = active
        .iter()
        .map(|record| json!({"relocation": record.id, "state": record.state.to_string()}))
        .collect();
    json!({"event": "planner_started", "version": env!("CARGO_PKG_VERSION"), "resumes": resumed})
}

fn open_store(
    path: &Path,
    settings: &Settings,
    step: Step,
    clock: &Clock,
    metrics: StoreMetrics,
) -> anyhow::Result<Arc<dyn SeriesStore>> {
    let retention = &settings.retention;
    let level = |times: i64, kept: i64| -> anyhow::Result<Level> {
        Ok(Level { step: Step::from_ms(step.ms().saturating_mul(times))?, retention_ms: kept })
    };
    let levels = Levels::new([
        level(1, retention.step.ms())?,
        level(10, retention.ten_steps.ms())?,
        level(60, retention.sixty_steps.ms())?,
    ])?;
    let how = StoreSettings { levels, ..StoreSettings::from_base(step) };
    Ok(Arc::new(SqliteStore::open(path, how, clock.clone(), metrics)?))
}

fn control_settings(settings: &Settings, policies: &Policies, step: Step) -> ControlSettings {
    let steps = |ms: i64| usize::try_from(ms / step.ms()).unwrap_or(usize::MAX);
    let mut named =
        settings.forecast.models.iter().chain(policies.files().iter().flat_map(|policy| &policy.models));
    let uses_net = named.any(|name| name == NetTraining::MODEL);
    ControlSettings {
        interval: settings.interval.duration(),
        step,
        season_steps: steps(settings.season.ms()),
        // The first step has begun already, so one more is needed to look a whole horizon ahead.
        horizon_steps: steps(settings.horizon.ms()) + 1,
        stale_after_ms: settings.stale_after.ms(),
        silent_after_ms: settings.silent_after.ms(),
        pending_ms: settings.rollout.revalidate_after,
        settling_steps: steps(settings.lateness.ms()) + 1,
        keep_ms: settings.retention.step.ms(),
        experts: ExpertsSettings {
            budget_us: settings.forecast.cpu_share * settings.interval.ms() as f64 * 1e3,
            refit_ms: settings.forecast.refit.map_or(settings.season.ms() / 24, Span::ms).max(1),
            memory_bytes: settings.forecast.memory_bytes,
        },
        net: NetSettings {
            file: settings.state_directory.join("lstm.json"),
            train_every_ms: settings.forecast.lstm.train_every.ms(),
            windows: if uses_net { settings.forecast.lstm.windows } else { 0 },
        },
        relearn_us: settings.forecast.relearn_share * settings.interval.ms() as f64 * 1e3,
        usual_models: settings.forecast.models.clone(),
        caution: settings.planning,
        hold_per_step_ms: settings.rollout.hold_per_step,
    }
}

/// Ready when the process is asked to stop: Ctrl-C, or SIGTERM as supervisors send it.
async fn terminated() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}

#[cfg(test)]
mod tests;
