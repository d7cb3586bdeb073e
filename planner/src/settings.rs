//! The settings file of `foremesh serve`: what is read, its defaults and its limits.
//!
//! Every error names the file, the field, the value, the limit and the remedy, because it is read by somebody whose
//! planner has just refused to start.
mod platform;
mod span;
mod staging;
mod swarm;
mod trial_load;

pub use platform::{
    Istiod, KubernetesMoves, KubernetesResources, KubernetesSettings, PlacementWebhook, Platform,
};
pub use span::Span;
pub use staging::StagingSettings;
pub use swarm::{SwarmSettings, SwarmTls};
pub use trial_load::TrialLoad;

use crate::{
    calendar::CalendarSettings,
    control::REMEMBERED_MS,
    regressors::{RegressorSettings, RegressorSettingsError, Regressors},
    rollout::{self, RolloutSettings},
    signals::settings::{SignalSettings, SignalSettingsError},
};
use foremesh_core::forecast::model::MODEL_NAMES;
pub use foremesh_core::inputs::Settings as Caution;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Settings of the planner, as read from a YAML file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Address that ingest, API and metrics are served on.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Directory of everything that must outlive the process.
    pub state_directory: PathBuf,
    /// Where services run.
    pub platform: Platform,
    /// The filter for sidecars, served at `/filter.wasm`; relative to the settings file. Without one nothing is served
    /// there.
    #[serde(default)]
    pub filter_module: Option<PathBuf>,
    /// Address at which the filter is served and nothing else, for those who may not speak to the rest: the agents beside
    /// the proxies fetch it without the proxies' identity.
    #[serde(default)]
    pub filter_listen: Option<SocketAddr>,
    /// Policy files, or directories of `*.yaml` files; relative to the settings file. May be left out where policies are taken
    /// from a cluster.
    #[serde(default)]
    pub policies: Vec<PathBuf>,
    /// Where known events come from.
    #[serde(default)]
    pub calendars: Vec<CalendarSettings>,
    /// Series that are not ours and explain ours.
    #[serde(default)]
    pub regressors: Vec<RegressorSettings>,
    /// Length of one step of a series.
    #[serde(default = "default_step")]
    pub step: Span,
    /// Length of the season that the seasonal models repeat.
    #[serde(default = "default_season")]
    pub season: Span,
    /// How far forecasts look ahead.
    #[serde(default = "default_horizon")]
    pub horizon: Span,
    /// Time between two passes of the control loop.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How late a proxy's summary may arrive and still count for its step: a step is forecast from only when it
    /// ended this long ago. At least the proxies' push interval.
    #[serde(default = "default_lateness")]
    pub lateness: Span,
    /// How old the newest data may be before the planner counts itself blind.
    #[serde(default = "default_stale_after")]
    pub stale_after: Span,
    /// How long a proxy that pushed before may be silent while its service has traffic, before it is reported.
    #[serde(default = "default_silent_after")]
    pub silent_after: Span,
    /// How long a plan of a policy in mode `approve` can be approved after it was made. It must still hold then; one that
    /// is decided longer than that is made anew, with new numbers.
    #[serde(default = "default_approve_within")]
    pub approve_within: Span,
    /// What summaries may look like and how many may wait.
    #[serde(default)]
    pub ingest: Ingest,
    /// How long history is kept.
    #[serde(default)]
    pub retention: Retention,
    /// How moves are carried out.
    #[serde(default)]
    pub rollout: RolloutSettings,
    /// How much is spent on forecasts.
    #[serde(default)]
    pub forecast: ForecastEffort,
    /// How carefully to plan.
    #[serde(default)]
    pub planning: Caution,
    /// Who else measures nodes and workloads.
    #[serde(default)]
    pub signals: SignalSettings,
}

/// Limits of the ingest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Ingest {
    /// Largest body of one summary in bytes.
    pub max_body_bytes: usize,
    /// Bytes of summaries that may wait to become durable; the next one is answered 503.
    pub in_flight_bytes: usize,
}

impl Default for Ingest {
    fn default() -> Self {
        Self { max_body_bytes: 1 << 20, in_flight_bytes: 32 << 20 }
    }
}

/// How much is spent on forecasts. Every series is forecast by the cheap models at every step; the dear ones are fitted
/// again and again within a budget.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ForecastEffort {
    /// Names of the dear models that every series may get; policies name others for their services.
    pub models: Vec<String>,
    /// CPU time for fits, as a share of one core: of each `interval` so much is spent, by what each model says a fit
    /// costs. Series most likely to breach an objective come first, then those that have waited longest. A fit that costs
    /// more than one pass may spend is made too, and the passes after it pay. 0 fits none.
    pub cpu_share: f64,
    /// Memory for these models, of all series together. Where it is full, a series that is likely to breach an objective
    /// gets one in place of a series that is not; the others are forecast by the cheap models. What policies name counts
    /// too, but is always made.
    pub memory_bytes: usize,
    /// Time after which a model is fitted again; a 24th of the season when left out.
    pub refit: Option<Span>,
    /// CPU time for learning events and regressors again, as `cpuShare`: when an event ends, the series that it concerns
    /// are learned anew over as many passes as that takes, those most likely to breach an objective first. One series is
    /// learned in each pass at least.
    pub relearn_share: f64,
    /// How the common net of the LSTM is trained.
    pub lstm: LstmTraining,
}

impl Default for ForecastEffort {
    fn default() -> Self {
        Self {
            models: vec!["extra_trees".to_owned()],
            cpu_share: 0.05,
            memory_bytes: 32 << 20,
            refit: None,
            relearn_share: 0.2,
            lstm: LstmTraining::default(),
        }
    }
}

/// How the common net of the LSTM is trained: one for all series, on what was observed, by one thread of the lowest
/// priority. Nothing is trained when neither `models` nor a policy names `lstm`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LstmTraining {
    /// Time between two trainings. The first one begins when a series has a whole season and three horizons after it.
    pub train_every: Span,
    /// Windows that one training learns from, and at most four for each observed step: about 85 µs of CPU time each, so
    /// 17 s for the default. 0 trains no net.
    pub windows: usize,
}

impl Default for LstmTraining {
    fn default() -> Self {
        Self { train_every: Span::from_secs(24 * 3600), windows: 200_000 }
    }
}

/// Windows that one training of the net may learn from: three minutes of CPU time.
const MOST_WINDOWS: usize = 2_000_000;

/// Longest time in which a plan can be approved, in milliseconds.
const LONGEST_APPROVAL_MS: i64 = 24 * 3_600_000;

/// How long steps are kept after their start, by their length, and records after they were written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Retention {
    /// Steps of length `step`.
    pub step: Span,
    /// Roll-ups of ten steps.
    pub ten_steps: Span,
    /// Roll-ups of sixty steps.
    pub sixty_steps: Span,
    /// Audit records of passes, and of what happened to the planner and its proxies.
    pub audit: Span,
    /// Audit records of passes in which nothing changed.
    pub idle_passes: Span,
    /// What plans were made from, so that a decision can be made again: megabytes each in a large mesh.
    pub records: Span,
    /// Rollouts, and the audit records of plans and their rollouts; a week at least, for the cooldown of the next move.
    pub moves: Span,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY_SECONDS: u32 = 24 * 3600;
        Self {
            step: Span::from_secs(2 * DAY_SECONDS),
            ten_steps: Span::from_secs(14 * DAY_SECONDS),
            sixty_steps: Span::from_secs(400 * DAY_SECONDS),
            audit: Span::from_secs(90 * DAY_SECONDS),
            idle_passes: Span::from_secs(7 * DAY_SECONDS),
            records: Span::from_secs(30 * DAY_SECONDS),
            moves: Span::from_secs(400 * DAY_SECONDS),
        }
    }
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("settings file `{path}` cannot be read; give an existing file with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML, or has a field that is not known or a value of the wrong kind.
    #[error("settings file `{path}`: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        problem: String,
    },
    /// The part about rollouts is outside its limits.
    #[error("settings file `{path}`: {problem}")]
    Rollout {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: rollout::SettingsError,
    },
    /// A regressor cannot be accepted.
    #[error("settings file `{path}`: {problem}")]
    Regressor {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: RegressorSettingsError,
    },
    /// The part about signals is outside its limits.
    #[error("settings file `{path}`: {problem}")]
    Signals {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: SignalSettingsError,
    },
    /// A value is outside its limits.
    #[error("settings file `{path}`: `{field}` is {value}, but must be {limit}; {remedy}")]
    Limit {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        limit: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl Settings {
    /// Reads and checks the settings file.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, or a value is outside its limits.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Checks settings that were read from `path`; relative paths in them start at its directory.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let mut settings: Self = yaml_serde::from_str(text)
            .map_err(|error| SettingsError::Parse { path: path.to_owned(), problem: error.to_string() })?;
        let base = path.parent().unwrap_or(Path::new("."));
        for relative in std::iter::once(&mut settings.state_directory)
            .chain(match &mut settings.platform {
                Platform::Hosts(file) => vec![file],
                Platform::Kubernetes(kubernetes) => kubernetes.kubeconfig.iter_mut().collect(),
                Platform::Swarm(swarm) => swarm.paths().collect(),
            })
            .chain(&mut settings.filter_module)
            .chain(&mut settings.policies)
        {
            *relative = base.join(&*relative);
        }
        if let Platform::Kubernetes(kubernetes) = &mut settings.platform {
            let staging = kubernetes.staging.iter_mut();
            for relative in staging.filter_map(|staging| staging.kubeconfig.as_mut()) {
                *relative = base.join(&*relative);
            }
        }
        for calendar in &mut settings.calendars {
            calendar.start_at(base);
        }
        settings.signals.rebase(base);
        settings.check(path)?;
        Ok(settings)
    }

    fn check(&self, path: &Path) -> Result<(), SettingsError> {
        let refuse = |field, value: String, limit: String, remedy| {
            Err(SettingsError::Limit { path: path.to_owned(), field, value, limit, remedy })
        };
        if let Some((field, value, limit, remedy)) = self.platform.problem() {
            return refuse(field, value, limit.into(), remedy);
        }
        if let (Some(listen), None) = (self.filter_listen, &self.filter_module) {
            return refuse(
                "filterListen",
                listen.to_string(),
                "beside a `filterModule`".into(),
                "name the module, or leave both out",
            );
        }
        if self.policies.is_empty() && !self.platform.has_policies() {
            return refuse(
                "policies",
                "empty".into(),
                "at least one file or directory".into(),
                "without a policy the planner would never act; start with one in mode `observe`, or take those of a cluster",
            );
        }
        if self.step.ms() < 100 {
            return refuse("step", self.step.to_string(), "100ms or more".into(), "60s suits most meshes");
        }
        if self.season.ms() % self.step.ms() != 0 || self.season.ms() < 2 * self.step.ms() {
            return refuse(
                "season",
                self.season.to_string(),
                format!("a multiple of `step` ({}), two steps at least", self.step),
                "24h suits services whose load follows the day",
            );
        }
        if self.horizon.ms() < self.step.ms() || self.horizon.ms() > self.season.ms() {
            return refuse(
                "horizon",
                self.horizon.to_string(),
                format!("from one step ({}) to one season ({})", self.step, self.season),
                "60m suits most policies; no policy can look further ahead than this",
            );
        }
        self.check_forecast(path)?;
        if self.interval.ms() < 50 {
            return refuse(
                "interval",
                self.interval.to_string(),
                "50ms or more".into(),
                "30s suits most meshes",
            );
        }
        if self.approve_within.ms() < self.interval.ms() || self.approve_within.ms() > LONGEST_APPROVAL_MS {
            return refuse(
                "approveWithin",
                self.approve_within.to_string(),
                format!("from one `interval` ({}) to 1d", self.interval),
                "1h gives people the time to look; a plan of yesterday is about another day",
            );
        }
        if self.retention.moves.ms() < REMEMBERED_MS {
            return refuse(
                "retention.moves",
                self.retention.moves.to_string(),
                "7d or more".into(),
                "the cooldown of the next move counts the moves of a week; 400d suits most audits",
            );
        }
        Regressors::check(&self.regressors)
            .map_err(|problem| SettingsError::Regressor { path: path.to_owned(), problem })?;
        self.signals.check().map_err(|problem| SettingsError::Signals { path: path.to_owned(), problem })?;
        self.rollout.check().map_err(|problem| SettingsError::Rollout { path: path.to_owned(), problem })
    }

    fn check_forecast(&self, path: &Path) -> Result<(), SettingsError> {
        let refuse = |field, value: String, limit: String, remedy| {
            Err(SettingsError::Limit { path: path.to_owned(), field, value, limit, remedy })
        };
        let effort = &self.forecast;
        if let Some(unknown) = effort.models.iter().find(|name| !MODEL_NAMES.contains(&name.as_str())) {
            return refuse(
                "forecast.models",
                format!("`{unknown}`"),
                format!("one of {}", MODEL_NAMES.join(", ")),
                "leave it out for the usual ones",
            );
        }
        if !(0.0..=1.0).contains(&effort.cpu_share) {
            return refuse(
                "forecast.cpuShare",
                effort.cpu_share.to_string(),
                "from 0 to 1".into(),
                "0.05 spends a twentieth of one core on dear models",
            );
        }
        if !(0.0..=1.0).contains(&effort.relearn_share) {
            return refuse(
                "forecast.relearnShare",
                effort.relearn_share.to_string(),
                "from 0 to 1".into(),
                "0.2 spends a fifth of one core when an event that concerns many series has ended",
            );
        }
        if effort.lstm.train_every.ms() < 60_000 {
            return refuse(
                "forecast.lstm.trainEvery",
                effort.lstm.train_every.to_string(),
                "1m or more".into(),
                "24h trains the net once a day; `windows: 0` trains none",
            );
        }
        if effort.lstm.windows > MOST_WINDOWS {
            return refuse(
                "forecast.lstm.windows",
                effort.lstm.windows.to_string(),
                format!("{MOST_WINDOWS} or less"),
                "200000 take 17 s of CPU time once a day",
            );
        }
        Ok(())
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8700))
}

const fn default_step() -> Span {
    Span::from_secs(60)
}

const fn default_season() -> Span {
    Span::from_secs(24 * 3600)
}

const fn default_horizon() -> Span {
    Span::from_secs(3600)
}

const fn default_interval() -> Span {
    Span::from_secs(30)
}

const fn default_lateness() -> Span {
    Span::from_secs(5)
}

const fn default_stale_after() -> Span {
    Span::from_secs(5 * 60)
}

const fn default_approve_within() -> Span {
    Span::from_secs(3600)
}

const fn default_silent_after() -> Span {
    Span::from_secs(2 * 60)
}

#[cfg(test)]
mod tests;
