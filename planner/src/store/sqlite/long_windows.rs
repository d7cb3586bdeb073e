//! Windows that are much longer than a step: in the steps that they cover, no rate is known.
use super::super::{LONG_WINDOW_STEPS, Levels};
use foremesh_core::{
    ids::ServiceId,
    time::{Step, Timestamp},
};
use foremesh_summary::wire::WindowSummary;
use rusqlite::{Connection, Transaction, params};
use std::collections::{BTreeSet, HashMap};

/// A window longer than this is that of a proxy whose clock was set, and covers only the step that it is counted in.
const LONGEST_MS: i64 = 24 * 3_600_000;

/// Long windows that the file lacks: callee, start of the first step and end of the last.
#[derive(Debug, Default)]
pub(super) struct LongWindows {
    held: BTreeSet<(String, Timestamp, Timestamp)>,
}

fn is_long(length_ms: i64, step: Step) -> bool {
    length_ms as f64 > LONG_WINDOW_STEPS * step.ms() as f64
}

impl LongWindows {
    /// Notes the window of a checked summary if it is long; `counted_in` is the step that the summary belongs to.
    pub(super) fn note(
        &mut self,
        message: &WindowSummary,
        received: Timestamp,
        counted_in: Timestamp,
        step: Step,
    ) {
        let time = |ms: u64| Timestamp::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        let (start, end) = (time(message.start_unix_ms), time(message.end_unix_ms));
        let length_ms = end.ms_since(start);
        if !is_long(length_ms, step) {
            return;
        }
        let (from, to) = if length_ms > LONGEST_MS {
            (counted_in, counted_in.plus_ms(step.ms()))
        } else {
            let ahead_ms = end.ms_since(received).max(0);
            let last = step.floor(end.plus_ms(-ahead_ms - 1));
            (step.floor(start.plus_ms(-ahead_ms)), last.plus_ms(step.ms()))
        };
        for route in message.routes.iter().filter(|route| route.observations() > 0) {
            self.held.insert((route.callee.clone(), from, to));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Timestamp, Timestamp)> {
        self.held.iter().map(|(callee, from, to)| (callee.as_str(), *from, *to))
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

/// Writes what the file lacks; a window that is there already is the same one.
pub(super) fn save(transaction: &Transaction<'_>, windows: &LongWindows) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO long_windows (end_ms, callee, start_ms) VALUES (?1, ?2, ?3)",
    )?;
    for (callee, from, to) in windows.iter() {
        insert.execute(params![to.unix_ms(), callee, from.unix_ms()])?;
    }
    Ok(())
}

/// Deletes windows that no kept step of any level needs, at most `limit` of each level; tells whether more may be left.
pub(super) fn retain(
    transaction: &Transaction<'_>,
    levels: &Levels,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<bool> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM long_windows WHERE (end_ms, callee, start_ms) IN
         (SELECT end_ms, callee, start_ms FROM long_windows WHERE end_ms < ?1 AND end_ms - start_ms <= ?2
          ORDER BY end_ms LIMIT ?3)",
    )?;
    let mut more = false;
    for (number, level) in levels.iter() {
        // Windows that are not long in the next level are of no use once the steps of this one are gone.
        let longest = levels
            .get(number + 1)
            .map_or(i64::MAX, |next| (LONG_WINDOW_STEPS * next.step.ms() as f64) as i64);
        let oldest = now.plus_ms(-level.retention_ms).unix_ms();
        more |= delete.execute(params![oldest, longest, limit])? == limit as usize;
    }
    Ok(more)
}

/// For each service, the times in which its rate is not known: apart from each other and in order.
#[derive(Debug, Default)]
pub(super) struct Unknown(HashMap<String, Vec<(Timestamp, Timestamp)>>);

impl Unknown {
    /// What matters to the steps of a level, with their length, that start in `from..to`.
    pub(super) fn read(
        connection: &Connection,
        (level, step): (u8, Step),
        from: Timestamp,
        to: Timestamp,
    ) -> rusqlite::Result<Self> {
        let mut select = connection.prepare_cached(
            "SELECT callee, start_ms, end_ms FROM long_windows WHERE end_ms > ?1 AND start_ms < ?2
             ORDER BY callee, start_ms",
        )?;
        let last = to.plus_ms(step.ms());
        let mut rows = select.query(params![from.unix_ms(), last.unix_ms()])?;
        let mut known: HashMap<String, Vec<(Timestamp, Timestamp)>> = HashMap::new();
        while let Some(row) = rows.next()? {
            let (start, end) = (Timestamp::from_unix_ms(row.get(1)?), Timestamp::from_unix_ms(row.get(2)?));
            // They were found long for base steps; a roll-up is told well by windows that are short for it.
            if level > 0 && !is_long(end.ms_since(start), step) {
                continue;
            }
            let windows = known.entry(row.get(0)?).or_default();
            match windows.last_mut() {
                Some((_, last)) if *last >= start => *last = end.max(*last),
                _ => windows.push((start, end)),
            }
        }
        Ok(Self(known))
    }

    /// Whether the rate of a service is not known in the step that starts at `start`.
    pub(super) fn covers(&self, service: &ServiceId, start: Timestamp, step: Step) -> bool {
        let Some(windows) = self.0.get(service.as_str()) else { return false };
        let next = windows.partition_point(|(_, end)| *end <= start);
        windows.get(next).is_some_and(|(from, _)| *from < start.plus_ms(step.ms()))
    }
}
