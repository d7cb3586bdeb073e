//! Tails, read from histograms that are merged over many steps.
//!
//! Exact and without a state to keep: the roll-ups of the window that are over, and the base steps since. A step sees
//! nothing that was observed after it, so that a forecast that is tried on the past does not learn from the future.
use super::super::{Histogram, Levels, ServiceQuery};
use super::{
    rows::user_error,
    views::{Subjects, each_step},
};
use foremesh_core::{
    history::KEPT_QUANTILES,
    tail::Tail,
    time::{Step, Timestamp},
};
use foremesh_summary::merge_checked;
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};

/// What a window is made of: blocks that are over, and the steps of the block that is not.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Level of the blocks: roll-ups, or base steps when the window is too short for them.
    level: u8,
    block: Step,
    /// Blocks before the one that is not over.
    before: i64,
}

impl Window {
    fn of(query: &ServiceQuery, levels: &Levels) -> Option<Self> {
        if query.level != 0 || query.tail_steps < 2 {
            return None;
        }
        let steps = i64::try_from(query.tail_steps).unwrap_or(i64::MAX);
        let base = levels.base().step;
        let rolled = levels.get(1).map(|level| (level.step, level.step.ms() / base.ms()));
        Some(match rolled {
            Some((block, each)) if steps >= 2 * each => {
                Self { level: 1, block, before: (steps + each - 1) / each - 1 }
            }
            _ => Self { level: 0, block: base, before: steps - 1 },
        })
    }

    /// Start of the first block of the window of a step in the block that starts at `block`.
    fn first(&self, block: Timestamp) -> Timestamp {
        block.plus_ms(-self.block.ms().saturating_mul(self.before))
    }
}

/// The window of one subject.
#[derive(Debug, Default)]
struct Merged {
    /// Blocks by their start, encoded.
    over: BTreeMap<Timestamp, Vec<u8>>,
    /// The block that is not over, and all of the window.
    block: Option<Timestamp>,
    sum: Histogram,
}

/// The windows of all subjects, which move from step to step.
#[derive(Debug)]
pub(super) struct Tails {
    window: Window,
    from: Timestamp,
    merged: HashMap<usize, Merged>,
}

impl Tails {
    /// Reads the blocks that are needed; `None` when no tails are asked for.
    pub(super) fn read<K>(
        connection: &Connection,
        query: &ServiceQuery,
        levels: &Levels,
        subjects: &Subjects<K>,
    ) -> rusqlite::Result<Option<Self>> {
        let Some(window) = Window::of(query, levels) else { return Ok(None) };
        let first = window.block.floor(query.from);
        let mut merged: HashMap<usize, Merged> = HashMap::new();
        let from = if window.level == 0 {
            window.first(first)
        } else {
            let last = window.block.floor(query.to.plus_ms(-1));
            let range = (window.level, window.first(first), last);
            each_step(connection, subjects, range, |subject, start, _, latency| {
                merged.entry(subject).or_default().over.insert(start, latency.encode());
                Ok(())
            })?;
            first
        };
        Ok(Some(Self { window, from, merged }))
    }

    /// Start of the first base step that must be given to [`Self::take`].
    pub(super) fn first_step(&self) -> Timestamp {
        self.from
    }

    /// Adds a step, and gives the tail of the window that ends with it.
    pub(super) fn take(
        &mut self,
        subject: usize,
        start: Timestamp,
        latency: &Histogram,
    ) -> rusqlite::Result<Option<Tail>> {
        let window = self.window;
        let block = window.block.floor(start);
        let merged = self.merged.entry(subject).or_default();
        if merged.block != Some(block) {
            merged.block = Some(block);
            merged.over = merged.over.split_off(&window.first(block));
            merged.sum.clear();
            for bytes in merged.over.range(..block).map(|(_, bytes)| bytes) {
                merge_checked(&mut merged.sum, bytes).map_err(|error| user_error(0, error))?;
            }
        }
        merged.sum.merge(latency);
        if window.level == 0 {
            merged.over.insert(start, latency.encode());
        }
        // A latency of less than a microsecond counts as one, so that there is a ratio.
        Ok(merged.sum.quantiles(KEPT_QUANTILES).map(|us| Tail::of(us.map(|us| us.max(1) as f64))))
    }
}
