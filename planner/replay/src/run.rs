//! One strategy in one world, minute by minute, and what came of it.
use crate::{
    foremesh::{Foremesh, ReplayError},
    memory::Memory,
    reactive::Reactive,
};
use foremesh_core::{inputs::Settings as Caution, policy::RelocationPolicy};
use foremesh_world::{Mesh, Minute, MoveId, Scenario, World};
use serde::Serialize;

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The strategies, in the order in which they are shown. `none` is always run, since the others are compared with
    /// it, and so is `oracle` when something else than `none` is.
    pub strategies: Vec<StrategyKind>,
    /// How carefully to plan.
    pub caution: Caution,
    /// The operators' policies; one that holds every objective when empty.
    pub policies: Vec<RelocationPolicy>,
    /// Whether the minutes are kept for a trace or a picture.
    pub keep_minutes: bool,
}

/// A way to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// Nothing is ever moved.
    None,
    /// What load-aware deschedulers do: present use above a threshold, five samples, the largest replica goes.
    Reactive,
    /// The production code.
    Foremesh,
    /// The production code with forecasts that come true.
    Oracle,
}

impl StrategyKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Reactive, Self::Foremesh, Self::Oracle];

    /// Its name in arguments and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reactive => "reactive",
            Self::Foremesh => "foremesh",
            Self::Oracle => "oracle",
        }
    }

    /// The strategy with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A move that a strategy wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What moves.
    pub workload: String,
    /// The replica that is replaced.
    pub replica: u32,
    /// Where it goes.
    pub to: String,
    /// The service for whose sake it moves.
    pub service: String,
    /// Why, in words.
    pub why: String,
    /// Shares of traffic of the target in percent, one a minute.
    pub ramp_percent: Vec<u8>,
}

/// Decides what to move, from what can be observed.
pub trait Strategy {
    /// Takes in what was observed in a minute, and says what to move at its end. What the world refuses is not asked
    /// for again in the same minute.
    ///
    /// # Errors
    /// When it cannot go on; the whole replay ends then.
    fn decide(&mut self, world: &World, minute: &Minute) -> Result<Vec<Order>, ReplayError>;
}

/// A move that was begun.
#[derive(Clone, Debug, Serialize)]
pub struct Begun {
    /// Minute of the run at whose end it began.
    pub minute: usize,
    /// What moved.
    pub workload: String,
    /// From where.
    pub from: String,
    /// To where.
    pub to: String,
    /// The service for whose sake it moved.
    pub service: String,
    /// Why, in words.
    pub why: String,
    /// Minute of the run in which it ended; `None` when it had not ended by then.
    pub ended: Option<usize>,
    /// Whether the replica got there.
    pub succeeded: bool,
    /// Whether a code fault was under way that explains what the service suffered from.
    pub during_fault: bool,
    /// Whether there were no fewer violations than without it.
    pub regretted: bool,
    #[serde(skip)]
    id: MoveId,
}

/// What came of one strategy.
#[derive(Clone, Debug)]
pub struct Run {
    /// The strategy.
    pub kind: StrategyKind,
    /// For each minute, for each service, whether it passed its objective.
    pub violated: Vec<Vec<bool>>,
    /// Moves, the oldest first.
    pub moves: Vec<Begun>,
    /// Violations within moves, which there would not have been without the moves.
    pub move_caused: usize,
    /// Price of the nodes that held a replica, in money.
    pub cost: f64,
    /// The minutes, when they were to be kept.
    pub minutes: Vec<Minute>,
}

impl Run {
    /// Minutes in which services passed their objectives, summed over services.
    pub fn violation_minutes(&self) -> usize {
        self.violated.iter().flatten().filter(|violated| **violated).count()
    }
}

/// Moves that began at the end of one minute, and the world just before.
struct Batch {
    minute: usize,
    before: World,
    moves: std::ops::Range<usize>,
}

/// Runs all strategies in the world of one seed. They share the warm-up, and the noise of each minute.
///
/// # Errors
/// When the world cannot be made, or a strategy cannot go on.
pub fn replay_seed(
    mesh: &Mesh,
    scenario: &Scenario,
    seed: u64,
    settings: &Settings,
    mut tick: impl FnMut(),
) -> Result<Vec<Run>, ReplayError> {
    let mut world = World::new(mesh, scenario, seed)?;
    let mut memory = Memory::new(crate::inventory::time(world.now_ms()));
    let mut reactive = Reactive::default();
    for _ in 0..world.warm_up_minutes() {
        let minute = world.tick();
        crate::inventory::take_in(&mut memory, &world, &minute);
        reactive.observe(&world, &minute);
    }
    tick();
    let mut runs = Vec::new();
    for kind in &settings.strategies {
        let world = world.clone();
        let run = match kind {
            StrategyKind::None => run(*kind, world, None, settings)?,
            StrategyKind::Reactive => run(*kind, world, Some(&mut reactive.clone()), settings)?,
            StrategyKind::Foremesh | StrategyKind::Oracle => {
                let foresight = *kind == StrategyKind::Oracle;
                let mut foremesh = Foremesh::new(&world, memory.clone(), settings, foresight)?;
                run(*kind, world, Some(&mut foremesh), settings)?
            }
        };
        runs.push(run);
        tick();
    }
    Ok(runs)
}

fn run(
    kind: StrategyKind,
    mut world: World,
    mut strategy: Option<&mut dyn Strategy>,
    settings: &Settings,
) -> Result<Run, ReplayError> {
    let mut run =
        Run { kind, violated: Vec::new(), moves: Vec::new(), move_caused: 0, cost: 0.0, minutes: Vec::new() };
    let mut batches: Vec<Batch> = Vec::new();
    for minute_index in 0..world.measured_minutes() as usize {
        let minute = world.tick();
        run.violated.push(minute.truth.services.iter().map(|service| service.breach).collect());
        run.cost += crate::inventory::cost_per_minute(&world);
        close_ended(&mut run, &world, minute_index);
        if let Some(strategy) = strategy.as_deref_mut() {
            let orders = strategy.decide(&world, &minute)?;
            if !orders.is_empty() {
                let before = world.clone();
                let first = run.moves.len();
                for order in orders {
                    begin(&mut run, &mut world, order, minute_index);
                }
                if run.moves.len() > first {
                    batches.push(Batch { minute: minute_index, before, moves: first..run.moves.len() });
                }
            }
        }
        if settings.keep_minutes {
            run.minutes.push(minute);
        }
    }
    for batch in batches {
        judge(&mut run, batch);
    }
    Ok(run)
}

fn begin(run: &mut Run, world: &mut World, order: Order, minute: usize) {
    let Order { workload, replica, to, service, why, ramp_percent } = order;
    let at = world.minute();
    let during_fault = world.faulty(&service, at) || world.faulty(&workload, at);
    // A world refuses what no platform could do. The strategy finds the replica where it was.
    if let Ok(id) = world.begin_move(&workload, replica, &to, &ramp_percent) {
        let from = world.moves().iter().find(|state| state.id == id).map(|state| state.from.to_string());
        run.moves.push(Begun {
            minute,
            workload,
            from: from.unwrap_or_default(),
            to,
            service,
            why,
            ended: None,
            succeeded: false,
            during_fault,
            regretted: false,
            id,
        });
    }
}

fn close_ended(run: &mut Run, world: &World, minute: usize) {
    for begun in run.moves.iter_mut().filter(|begun| begun.ended.is_none()) {
        let state = world.moves().iter().find(|state| state.id == begun.id);
        if let Some(state) = state.filter(|state| state.ended_minute.is_some()) {
            begun.ended = Some(minute);
            begun.succeeded = state.succeeded;
        }
    }
}

/// Minutes over which a move must have brought something.
const REGRET_MINUTES: usize = 180;

/// Minutes after its end in which a move may still do harm.
const AFTER_MINUTES: usize = 5;

/// Lets the world go on from before the moves, without them and without any after them.
fn judge(run: &mut Run, batch: Batch) {
    let Batch { minute, mut before, moves } = batch;
    let ended = run.moves[moves.clone()].iter().filter_map(|begun| begun.ended).max();
    let harmed_to = ended.map_or(run.violated.len(), |ended| ended + AFTER_MINUTES + 1);
    let end = run.violated.len().min(minute + 1 + REGRET_MINUTES);
    let (mut with, mut without) = (0, 0);
    for at in minute + 1..end {
        let other = before.tick();
        for (service, truth) in other.truth.services.iter().enumerate() {
            let violated = run.violated[at][service];
            with += usize::from(violated);
            without += usize::from(truth.breach);
            run.move_caused += usize::from(violated && !truth.breach && at < harmed_to);
        }
    }
    for begun in &mut run.moves[moves] {
        begun.regretted = with >= without;
    }
}

#[cfg(test)]
mod tests;
