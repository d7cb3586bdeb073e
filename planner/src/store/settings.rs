//! Settings of the store and their defaults.
use super::StoreError;
use foremesh_core::time::Step;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Length of a level's steps, and how long they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Length of a step.
    pub step: Step,
    /// How long a step is kept after its start, in milliseconds.
    pub retention_ms: i64,
}

/// The base level and its two roll-ups; every observation is in one step of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels([Level; 3]);

impl Levels {
    /// The base step, ×10 and ×60, kept for 48 hours, 14 days and 400 days: recent detail for forecasts, two weeks
    /// for weekly patterns, a year and a month to compare with the same season.
    pub fn from_base(base: Step) -> Self {
        let level = |times: i64, retention_ms| Level {
            step: Step::from_ms(base.ms().saturating_mul(times)).unwrap_or(base),
            retention_ms,
        };
        Self([level(1, 2 * DAY_MS), level(10, 14 * DAY_MS), level(60, 400 * DAY_MS)])
    }

    /// Levels as given, from the finest.
    ///
    /// # Errors
    /// When a step is not a whole multiple of the one below it.
    pub fn new(levels: [Level; 3]) -> Result<Self, StoreError> {
        let mut below_ms = levels.first().map_or(1, |level| level.step.ms());
        for (at, level) in levels.iter().enumerate() {
            let wanted_ms = level.step.ms();
            if wanted_ms % below_ms != 0 {
                return Err(StoreError::Levels { level: at as u8, wanted_ms, below_ms });
            }
            below_ms = wanted_ms;
        }
        Ok(Self(levels))
    }

    /// The finest level.
    pub fn base(&self) -> Level {
        let [base, ..] = self.0;
        base
    }

    /// All levels with their numbers, from the finest.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Level)> + '_ {
        self.0.iter().enumerate().map(|(at, level)| (at as u8, *level))
    }

    /// One level, if there is one with that number.
    pub fn get(&self, level: u8) -> Option<Level> {
        self.0.get(usize::from(level)).copied()
    }
}

/// Settings of the embedded store.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Steps and retention.
    pub levels: Levels,
    /// The inbox is flushed when it holds this many bytes, so that neither the file nor a restart grows with load.
    pub flush_bytes: usize,
    /// The inbox is flushed when its oldest summary is this old in milliseconds, also when nobody asks.
    pub flush_after_ms: u64,
    /// Bytes of summaries that may wait for a commit; above that, appends fail at once.
    pub queue_bytes: usize,
    /// A proxy worker that was silent for this long in milliseconds is forgotten.
    pub stream_retention_ms: i64,
    /// Proxy workers that are remembered; above that, the longest silent ones are forgotten.
    pub max_streams: usize,
    /// Series that are told apart; above that, observations go to one series called `_other`.
    pub max_series: usize,
    /// Memory of the page cache of `SQLite`, in KiB, for the writer and again for the reader.
    pub cache_kib: u32,
    /// The file takes at most this many bytes, beside its log; above that, appends fail as on a full disk. Not limited
    /// when not given.
    pub max_file_bytes: Option<u64>,
}

impl StoreSettings {
    /// Defaults around a base step.
    pub fn from_base(base: Step) -> Self {
        Self {
            levels: Levels::from_base(base),
            flush_bytes: 32 << 20,
            flush_after_ms: 10_000,
            queue_bytes: 32 << 20,
            stream_retention_ms: DAY_MS,
            max_streams: 100_000,
            max_series: 100_000,
            cache_kib: 16 << 10,
            max_file_bytes: None,
        }
    }
}
