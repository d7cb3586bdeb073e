mod feeds;
mod files;
mod made;

use super::*;
use crate::clock::ManualClock;
use foremesh_core::calendar::Subject;
use std::{path::PathBuf, time::Duration};

/// 2026-11-24T00:00:00Z.
const NOW: i64 = 1_795_478_400_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A planner's directory and its clock.
struct Rig {
    directory: tempfile::TempDir,
    clock: ManualClock,
    settings: Vec<CalendarSettings>,
    limits: FetchLimits,
    metrics: CalendarMetrics,
}

impl Rig {
    fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut rig = Self {
            clock: ManualClock::new(Timestamp::from_unix_ms(NOW)),
            settings: Vec::new(),
            limits: FetchLimits { timeout: Duration::from_millis(300), max_bytes: 64 << 10 },
            metrics: CalendarMetrics::default(),
            directory,
        };
        rig.configure(settings);
        rig
    }

    fn configure(&mut self, settings: &str) {
        self.settings = yaml_serde::from_str(settings).unwrap();
        for settings in &mut self.settings {
            settings.start_at(self.directory.path());
        }
    }

    fn try_open(&self) -> Result<Calendars, CalendarError> {
        let clock = Clock::Manual(self.clock.clone());
        let path = self.directory.path().join("calendar.db");
        Calendars::open(&self.settings, &path, clock, self.limits, self.metrics.clone())
    }

    fn open(&self) -> Calendars {
        self.try_open().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Lets time go on and reads what is due then.
    async fn later(&self, calendars: &Calendars, ms: i64) {
        let now = Clock::Manual(self.clock.clone()).now();
        self.clock.set(now.plus_ms(ms));
        calendars.refresh().await;
    }
}

/// What takes place in the week from the beginning on, as `event@hours`.
fn week(calendars: &Calendars) -> Vec<String> {
    let from = Timestamp::from_unix_ms(NOW);
    let all = calendars.current().occurrences(
        &Subject::service("shop", "throughput_rps"),
        from,
        from.plus_ms(7 * DAY),
    );
    all.iter().map(|o| format!("{}@{}", o.event, o.start.ms_since(from) / HOUR)).collect()
}

/// A calendar document with one event a day.
fn daily(calendar: &str, event: &str, hour: i64) -> String {
    format!(
        "
apiVersion: foremesh.dev/v1alpha1
kind: EventCalendar
metadata: {{name: {calendar}}}
spec:
  events:
    - name: {event}
      when: {{cron: '0 {hour} * * *'}}
      duration: 1h
      tags: [backup]
"
    )
}

/// An iCal text with one event, so many hours after the beginning.
fn ical(event: &str, hours: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(NOW + hours * HOUR).unwrap();
    let start = at.strftime("%Y%m%dT%H%M%SZ");
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:{event}\r\nSUMMARY:{event}\r\n\
         DTSTART:{start}\r\nDURATION:PT2H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}
