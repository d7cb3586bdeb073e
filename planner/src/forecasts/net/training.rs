//! One training at a time, beside the passes.
use super::{NetSettings, TrainingSeries, file};
use crate::{backtest::cpu::Cpu, causes::chain, clock::Clock};
use foremesh_core::time::Timestamp;
use foremesh_models::{Lstm, Network, TrainingBudget};
use rustix::process::setpriority_process;
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread,
};

/// A step is drawn so many times on average, at most: few series need not be learnt by heart.
const DRAWS_OF_A_STEP: usize = 4;

/// The lowest priority that a thread can have.
const LOWEST_PRIORITY: i32 = 19;

/// What became of trainings since the planner started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetState {
    /// When the net in use was trained, before a restart too; `None` before the first.
    pub trained_at: Option<Timestamp>,
    /// CPU time of the last training, in seconds.
    pub cpu_seconds: f64,
    /// Time that the last training took, in seconds.
    pub wall_seconds: f64,
    /// Trainings that gave a net.
    pub trained: u64,
    /// Trainings that gave none; the net before them stays in use.
    pub failed: u64,
    /// Nets that could not be written to the state directory, and would not outlive a restart.
    pub unkept: u64,
}

/// Trains the net, and keeps it.
#[derive(Debug)]
pub struct NetTraining {
    settings: NetSettings,
    clock: Clock,
    tried_at: Option<Timestamp>,
    running: Option<Running>,
    state: NetState,
}

#[derive(Debug)]
struct Running {
    outcome: Receiver<Outcome>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Outcome {
    /// `Err` says why there is none.
    network: Result<Network, String>,
    at: Timestamp,
    cpu_seconds: f64,
    kept: bool,
}

impl NetTraining {
    /// Name of the model that the net serves.
    pub const MODEL: &str = "lstm";

    /// Takes up the kept net, which is given as a model when there is one.
    pub fn open(settings: NetSettings, clock: Clock) -> (Self, Option<Lstm>) {
        let (network, trained_at) = file::read(&settings.file).unzip();
        let state = NetState { trained_at, ..NetState::default() };
        let model = network.map(|network| Lstm::with(Arc::new(network)));
        (Self { settings, clock, tried_at: None, running: None, state }, model)
    }

    /// Whether a training should begin now.
    pub fn due(&self, now: Timestamp) -> bool {
        self.running.is_none() && self.settings.due(now, self.state.trained_at, self.tried_at)
    }

    /// Changes with every training, so that another one learns from other series.
    pub fn salt(&self) -> u64 {
        self.state.trained_at.map_or(0, |at| at.unix_ms().unsigned_abs())
    }

    /// What became of trainings.
    pub fn state(&self) -> NetState {
        self.state
    }

    /// Begins a training; an empty corpus begins none.
    pub fn begin(&mut self, corpus: Vec<TrainingSeries>) {
        if corpus.is_empty() {
            return;
        }
        let now = self.clock.now();
        self.tried_at = Some(now);
        let observed: usize = corpus.iter().map(TrainingSeries::observed).sum();
        let budget = TrainingBudget { examples: windows(self.settings.windows, observed) };
        let stop = Arc::new(AtomicBool::new(false));
        let (told, outcome) = sync_channel(1);
        let (stopped, path, clock, seed) =
            (Arc::clone(&stop), self.settings.file.clone(), self.clock.clone(), self.salt());
        tracing::info!(series = corpus.len(), windows = budget.examples, "training of the common net begins");
        let train = move || {
            // Without the right to it the training competes as any thread does.
            let _ = setpriority_process(None, LOWEST_PRIORITY);
            let cpu = Cpu::start();
            let histories: Vec<_> = corpus.iter().map(TrainingSeries::history).collect();
            let network = Network::train_watched(&histories, budget, seed, &mut |_| {
                if stopped.load(Ordering::Relaxed) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let at = clock.now();
            let kept = network.as_ref().is_ok_and(|network| {
                file::write(&path, network, at)
                    .inspect_err(|error| {
                        tracing::warn!(error = chain(error), "the net would not outlive a restart");
                    })
                    .is_ok()
            });
            let network = network.map_err(|error| error.to_string());
            let _ = told.send(Outcome { network, at, cpu_seconds: cpu.seconds(), kept });
        };
        match thread::Builder::new().name("train-lstm".to_owned()).spawn(train) {
            Ok(_) => self.running = Some(Running { outcome, stop }),
            Err(error) => self.failed(&chain(&error)),
        }
    }

    /// The model with the new net, once after a training that gave one has ended.
    pub fn finished(&mut self) -> Option<Lstm> {
        let outcome = match self.running.as_ref()?.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => None,
        };
        self.running = None;
        let Some(Outcome { network, at, cpu_seconds, kept }) = outcome else {
            self.failed("it ended in a fault of the planner");
            return None;
        };
        let took_ms = self.tried_at.map_or(0, |begun| at.ms_since(begun).max(0));
        (self.state.cpu_seconds, self.state.wall_seconds) = (cpu_seconds, took_ms as f64 / 1e3);
        match network {
            Ok(network) => {
                self.state.trained_at = Some(at);
                self.state.trained += 1;
                self.state.unkept += u64::from(!kept);
                tracing::info!(cpu_seconds, "the common net was trained");
                Some(Lstm::with(Arc::new(network)))
            }
            Err(why) => {
                self.failed(&why);
                None
            }
        }
    }

    fn failed(&mut self, why: &str) {
        self.state.failed += 1;
        tracing::warn!(why, "the common net could not be trained; what was in use stays in use");
    }
}

impl Drop for NetTraining {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Windows of a training on so many observed steps.
pub(super) fn windows(most: usize, observed: usize) -> usize {
    most.min(observed.saturating_mul(DRAWS_OF_A_STEP))
}
