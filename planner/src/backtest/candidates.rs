//! The models that take part in a backtest.
use super::{cpu::Cpu, progress::Progress, read::MeasuredSeries, task::Task};
use foremesh_core::forecast::{
    self,
    model::{Family, MEDIAN_AND_TAIL, Model, ModelError},
};
use foremesh_models::{Lstm, Network, TrainingBudget};
use std::{ops::ControlFlow, sync::Arc};

/// Seed of the recurrent net; with it a run gives the same figures again.
const SEED: u64 = 1;

/// Windows from one line of progress to the next in training.
const SHOW_EVERY: usize = 1_000;

/// Which models take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Every model of the default build, the dear ones refitted as often as the budget allows.
    Default,
    /// The same models, the dear ones refitted at every origin; may take hours.
    All,
    /// Models by name.
    Named(Vec<String>),
}

/// A model is asked for that does not exist, or that cannot be judged here.
#[derive(Debug, thiserror::Error)]
pub enum UnknownModel {
    /// No model has this name.
    #[error("there is no model `{given}`; there are: {known}")]
    NoSuch {
        /// What was asked for.
        given: String,
        /// Names of those that there are.
        known: String,
    },
    /// It needs more than the values of one series.
    #[error(
        "`{0}` needs the median and the tail of each step, which a recorded series does not have; it takes part in the \
         planner's own forecasts of latencies above the median, whose errors `foremesh accuracy` shows"
    )]
    NotOfOneSeries(&'static str),
}

impl std::str::FromStr for Chosen {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "default" => Self::Default,
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }
}

/// The chosen models, in the order in which they are known.
///
/// # Errors
/// When a name is not known.
pub fn candidates(chosen: &Chosen) -> Result<Vec<Box<dyn Model>>, UnknownModel> {
    let mut models = every();
    if let Chosen::Named(names) = chosen {
        for name in names {
            if name == MEDIAN_AND_TAIL {
                return Err(UnknownModel::NotOfOneSeries(MEDIAN_AND_TAIL));
            }
            if !models.iter().any(|model| model.name() == name) {
                let known = models.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ");
                return Err(UnknownModel::NoSuch { given: name.clone(), known });
            }
        }
        models.retain(|model| names.iter().any(|name| name == model.name()));
    }
    Ok(models)
}

fn every() -> Vec<Box<dyn Model>> {
    let mut models = forecast::cheap_models();
    models.extend(foremesh_models::all());
    models
}

/// Trains one recurrent net on what precedes the first origin of every series, and lets the recurrent models use it, as
/// the running planner would. Returns the CPU seconds that took; `None` when no such model takes part.
///
/// # Errors
/// When no series is long enough to learn from.
pub fn train_common_network(
    models: &mut [Box<dyn Model>],
    series: &[MeasuredSeries],
    horizon: usize,
    examples: usize,
) -> Result<Option<f64>, ModelError> {
    if !models.iter().any(|model| model.family() == Family::Lstm) {
        return Ok(None);
    }
    let cpu = Cpu::start();
    let tasks: Vec<(&MeasuredSeries, Task)> =
        series.iter().filter_map(|series| Some((series, Task::new(series, 1, horizon)?))).collect();
    let corpus: Vec<_> = tasks.iter().map(|(series, task)| task.history(series, task.first)).collect();
    let progress = Progress::new("thousand windows of the recurrent net", examples / SHOW_EVERY);
    let network = Network::train_watched(&corpus, TrainingBudget { examples }, SEED, &mut |state| {
        progress.reached(state.done / SHOW_EVERY);
        ControlFlow::Continue(())
    })?;
    let network = Arc::new(network);
    for model in models.iter_mut().filter(|model| model.family() == Family::Lstm) {
        *model = Box::new(Lstm::with(Arc::clone(&network)));
    }
    Ok(Some(cpu.seconds()))
}
