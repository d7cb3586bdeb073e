//! What weighs on the service of the simulated world, minute by minute.

/// Some Monday, at noon.
pub(crate) const START_MS: i64 = 1_763_985_600_000;
pub(crate) const MINUTE_MS: i64 = 60_000;
/// Simulated time between two looks of the loop.
pub(crate) const TICK_MS: i64 = 15_000;

/// Requests per second, when nothing else is said.
const RATE: f64 = 100.0;

/// Minutes from one backup to the next, the first one's start, and how long it takes.
pub(crate) const BACKUP_MINUTES: (i64, i64, i64) = (180, 50, 20);

/// Who weighs on the service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Load {
    /// A neighbour on the first host for a part of each hour.
    #[default]
    Neighbour,
    /// So many backups, at [`BACKUP_MINUTES`]. Each takes CPU of every host and keeps callers waiting, so that fewer
    /// requests come.
    Backups(usize),
    /// Callers follow [`campaign`].
    Campaign,
}

/// What a campaign spends in a minute since the start: a new level each quarter of an hour.
pub(crate) fn campaign(minute: i64) -> f64 {
    [1.0, 6.0, 3.0, 8.0, 2.0, 7.0, 0.0][(minute.div_euclid(15) * 5).rem_euclid(7) as usize]
}

fn minute_of(at_ms: i64) -> i64 {
    (at_ms - START_MS).div_euclid(MINUTE_MS)
}

impl Load {
    fn backs_up(self, at_ms: i64) -> bool {
        let (every, first, length) = BACKUP_MINUTES;
        // A tick reports what was before it.
        let minute = minute_of(at_ms - TICK_MS);
        matches!(self, Self::Backups(count) if minute / every < count as i64)
            && (first..first + length).contains(&(minute % every))
    }

    /// CPU that others take on a host, in millicores.
    pub(crate) fn others(self, host: &str, at_ms: i64) -> f64 {
        let busy = (25..50).contains(&(minute_of(at_ms) % 60));
        match self {
            Self::Neighbour if busy && host == "host-a" => 2900.0,
            Self::Backups(_) if self.backs_up(at_ms) => 2200.0,
            _ => 200.0,
        }
    }

    /// Requests per second.
    pub(crate) fn rate(self, at_ms: i64) -> f64 {
        // Some percent of unrest, the same in each run.
        let unrest = 1.0 + 0.03 * ((at_ms / TICK_MS * 7919 % 13) as f64 / 6.0 - 1.0);
        match self {
            Self::Neighbour => RATE,
            Self::Backups(_) if self.backs_up(at_ms) => 0.6 * RATE * unrest,
            Self::Backups(_) => RATE * unrest,
            Self::Campaign => (40.0 + 10.0 * campaign(minute_of(at_ms - TICK_MS))) * unrest,
        }
    }
}
