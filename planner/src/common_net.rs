//! The recurrent net that all series share: trained on what this planner itself has observed, at first as soon as there
//! is enough and then once a day, and kept in the state directory.
//!
//! Training runs on a thread of its own, of low priority and bounded by a number of windows; forecasts go on with the net
//! of before meanwhile. It is done only when somebody names the model `lstm`.
#[cfg(test)]
mod tests;

use crate::{backtest::cpu::Cpu, causes::chain, durable};
use anyhow::Context as _;
use foremesh_core::{
    forecast::{
        Shape,
        model::{History, Model},
    },
    time::Timestamp,
};
use foremesh_models::{Lstm, Network, TrainingBudget};
use serde::{Deserialize, Serialize};
use std::{
    io::ErrorKind,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// Series that one training learns from, at most; more of them teach the net little, and each is copied for it.
pub const MOST_SERIES: usize = 256;

/// Seed of the draws: the same history gives the same net.
const SEED: u64 = 1;

/// Niceness of the training thread: everything else goes first.
const NICENESS: i32 = 15;

/// How often and how much to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetSettings {
    /// Time between two trainings, in milliseconds.
    pub every_ms: i64,
    /// Windows to learn from in each; some 90 microseconds of CPU each.
    pub windows: usize,
    /// Whether any series may get the model.
    pub wanted: bool,
}

/// One history to learn from, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Start of the first step.
    pub start: Timestamp,
    /// What the series is.
    pub shape: Shape,
    /// One value for each step, without the effects of events and regressors.
    pub values: Vec<f64>,
}

/// What became of the trainings so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetReport {
    /// When the net in use was trained; `None` without one.
    pub trained_at: Option<Timestamp>,
    /// CPU time of the newest training, in seconds.
    pub cpu_seconds: f64,
    /// Trainings that gave a net since the planner started.
    pub succeeded: u64,
    /// Trainings that did not.
    pub failed: u64,
}

/// The net as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// In milliseconds since 1970.
    trained_at_ms: i64,
    /// Longest horizon that it was trained for, in steps.
    horizon: usize,
    network: Network,
}

struct Trained {
    network: anyhow::Result<Arc<Network>>,
    cpu_seconds: f64,
}

/// The net, and the training that goes on.
#[derive(Debug)]
pub struct CommonNet {
    file: PathBuf,
    settings: NetSettings,
    network: Option<Arc<Network>>,
    /// When a training was begun last, or the kept net was.
    begun_at: Option<Timestamp>,
    running: Option<JoinHandle<Trained>>,
    stop: Arc<AtomicBool>,
    report: NetReport,
}

impl CommonNet {
    /// With the net that was kept, if it is one for this horizon. One that cannot be used is passed over: the next
    /// training replaces it.
    pub fn open(file: &Path, horizon: usize, settings: NetSettings) -> Self {
        let kept = read(file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), error = %chain(&*error),
                "the kept recurrent net cannot be used; it will be trained anew");
            None
        });
        let kept = kept.filter(|kept| kept.horizon == horizon);
        let begun_at = kept.as_ref().map(|kept| Timestamp::from_unix_ms(kept.trained_at_ms));
        Self {
            file: file.to_owned(),
            settings,
            network: kept.map(|kept| Arc::new(kept.network)),
            begun_at,
            running: None,
            stop: Arc::default(),
            report: NetReport { trained_at: begun_at, ..NetReport::default() },
        }
    }

    /// The model with the net in use; `None` before the first training.
    pub fn model(&self) -> Option<Box<dyn Model>> {
        let network = self.network.clone()?;
        Some(Box::new(Lstm::with(network)))
    }

    /// Whether it is time to train. After a failure and after a clock that went back it is so again when as much time
    /// has passed.
    pub fn due(&self, now: Timestamp) -> bool {
        let rested = |at: Timestamp| now.ms_since(at).abs() >= self.settings.every_ms;
        self.settings.wanted && self.running.is_none() && self.begun_at.is_none_or(rested)
    }

    /// Begins to train. Without a lesson nothing happens, and it stays due.
    pub fn train(&mut self, now: Timestamp, lessons: Vec<Lesson>) {
        if lessons.is_empty() || self.running.is_some() {
            return;
        }
        self.begun_at = Some(now);
        let (file, stop) = (self.file.clone(), Arc::clone(&self.stop));
        let budget = TrainingBudget { examples: self.settings.windows };
        let training = move || {
            // Where that is forbidden it trains as everything else runs.
            let _ = rustix::process::setpriority_process(None, NICENESS);
            let cpu = Cpu::start();
            let network =
                train(&lessons, budget, &stop).and_then(|network| keep(&file, now, &lessons, network));
            Trained { network, cpu_seconds: cpu.seconds() }
        };
        match std::thread::Builder::new().name("lstm-training".to_owned()).spawn(training) {
            Ok(running) => self.running = Some(running),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// The new model, once after each training that gave one. The old one stays in use after one that did not.
    pub fn finished(&mut self) -> Option<Box<dyn Model>> {
        let done = self.running.take_if(|running| running.is_finished())?;
        match done.join() {
            Ok(Trained { network: Ok(network), cpu_seconds }) => {
                self.report.succeeded += 1;
                self.report.cpu_seconds = cpu_seconds;
                self.report.trained_at = self.begun_at;
                self.network = Some(network);
                self.model()
            }
            Ok(Trained { network: Err(error), cpu_seconds }) => {
                self.report.cpu_seconds = cpu_seconds;
                self.failed(&chain(&*error));
                None
            }
            Err(_) => {
                self.failed("it ended in a fault of the planner");
                None
            }
        }
    }

    /// What became of the trainings.
    pub fn report(&self) -> NetReport {
        self.report
    }

    fn failed(&mut self, why: &str) {
        self.report.failed += 1;
        tracing::warn!(error = why, "the recurrent net could not be trained; the one of before stays");
    }
}

impl Drop for CommonNet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn train(lessons: &[Lesson], budget: TrainingBudget, stop: &AtomicBool) -> anyhow::Result<Network> {
    let corpus: Vec<History<'_>> = lessons
        .iter()
        .map(|lesson| History {
            start: lesson.start,
            step: lesson.shape.step,
            season: lesson.shape.season,
            horizon: lesson.shape.horizon,
            values: &lesson.values,
            covariates: &[],
            lowest: lesson.shape.lowest,
            highest: lesson.shape.highest,
        })
        .collect();
    let go_on =
        || if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    Ok(Network::train_watched(&corpus, budget, SEED, &mut |_| go_on())?)
}

/// Keeps it for the next start; a net that cannot be kept is used all the same.
fn keep(file: &Path, now: Timestamp, lessons: &[Lesson], network: Network) -> anyhow::Result<Arc<Network>> {
    let horizon = lessons.iter().map(|lesson| lesson.shape.horizon).max().unwrap_or(1);
    let kept = Kept { trained_at_ms: now.unix_ms(), horizon, network };
    let text = serde_json::to_vec(&kept)?;
    if let Err(error) = durable::replace(file, &text) {
        tracing::warn!(file = %file.display(), %error, "the recurrent net cannot be kept; check the disk");
    }
    Ok(Arc::new(kept.network))
}

fn read(file: &Path) -> anyhow::Result<Option<Kept>> {
    let text = match std::fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.context("it cannot be read")?,
    };
    Ok(Some(serde_json::from_slice(&text).context("it is no net of this version")?))
}
