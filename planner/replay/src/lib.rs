//! Replays decisions in a simulated mesh: the production decision code is driven in simulated time by a world that shares
//! no code with the twin, and is compared with doing nothing, with reacting to present use, and with the same optimiser
//! under perfect foresight.
//!
//! ```text
//! World ─Minute─► Memory ─OwnedInputs─► decide, verify, simulate ─moves─► World
//!   └─Truth─► Run ─► Outcome
//! ```
//! All of it is a function of the mesh, the scenario, the seed and the settings.
mod compared;
mod foremesh;
mod foresight;
mod inventory;
mod learning;
mod memory;
mod picture;
mod reactive;
mod run;
#[cfg(test)]
mod test_worlds;
mod trace;
mod watch;

pub use compared::{Compared, StrategyFigures, compare};
pub use foremesh::{Foremesh, ReplayError};
pub use picture::svg;
pub use reactive::Reactive;
pub use run::{Order, Run, Settings, Strategy, StrategyKind, replay_seed};
pub use trace::lines;
