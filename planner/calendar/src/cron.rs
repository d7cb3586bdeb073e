//! Cron patterns. The pattern is read by a library; the walk over days and hours is ours, because it must end for any
//! pattern and must be right where daylight saving skips or repeats an hour.
use crate::zone::{Skipped, Zone, plus_days};
use chrono::{Datelike as _, NaiveDate};
use croner::{
    Cron, JobType,
    parser::{CronParser, Seconds, Year},
};
use foremesh_core::time::Timestamp;

/// A cron pattern of five fields.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    cron: Cron,
    /// Whether one hour and minute is meant, as in `30 2 * * *`, and not a rhythm, as in `*/15 * * * *`.
    fixed_time: bool,
    /// Hours and minutes of a day that match.
    times: Vec<(u32, u32)>,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text.trim()).map_err(|error| error.to_string())?;
        let fixed_time = matches!(cron.determine_job_type(), JobType::FixedTime);
        let matches = |found: Result<bool, _>| found.unwrap_or(false);
        let hours = (0..24).filter(|hour| matches(cron.pattern.hour_match(*hour)));
        let times = hours.flat_map(|hour| {
            let minutes = (0..60).filter(|minute| matches(cron.pattern.minute_match(*minute)));
            minutes.map(move |minute| (hour, minute)).collect::<Vec<_>>()
        });
        let times = times.collect();
        Ok(Self { cron, fixed_time, times })
    }

    /// Starts from `from`, inclusive, to `to`, exclusive, rising, at most `most`.
    ///
    /// A fixed time that the clock skips is at the end of the gap, one that it shows twice at the first. A rhythm goes
    /// on in real time: it has no start in a gap, and starts in both of the repeated hours.
    pub(crate) fn starts(&self, zone: Zone, from: Timestamp, to: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut starts = Vec::new();
        let (Some(first), Some(last)) = (zone.wall(from), zone.wall(to)) else { return starts };
        // A day more on either side, because what the clock skips or repeats can cross midnight.
        let mut day = first.date().pred_opt().unwrap_or(NaiveDate::MIN);
        let last = plus_days(last.date(), 1);
        while day <= last && starts.len() < most {
            if self.day_matches(day) {
                self.add_day(day, zone, |start| {
                    if (from..to).contains(&start) {
                        starts.push(start);
                    }
                });
            }
            let Some(next) = day.succ_opt() else { break };
            day = next;
        }
        starts.sort_unstable();
        starts.dedup();
        starts.truncate(most);
        starts
    }

    fn day_matches(&self, day: NaiveDate) -> bool {
        let pattern = &self.cron.pattern;
        pattern.month_match(day.month()).unwrap_or(false)
            && pattern.day_match(day.year(), day.month(), day.day()).unwrap_or(false)
    }

    fn add_day(&self, day: NaiveDate, zone: Zone, mut add: impl FnMut(Timestamp)) {
        for (hour, minute) in &self.times {
            let Some(wall) = day.and_hms_opt(*hour, *minute, 0) else { continue };
            if self.fixed_time {
                add(zone.moment(wall, Skipped::GapEnd));
            } else {
                zone.moments(wall).for_each(&mut add);
            }
        }
    }
}
