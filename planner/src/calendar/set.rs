//! All calendars at one moment: what a forecast asks, and what people are shown.
use super::table::Cancelled;
use foremesh_calendar::EventCalendar;
use foremesh_core::{
    calendar::{EffectSource, Occurrence, Subject},
    history::{KEPT_QUANTILES, Metric},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One calendar in force.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its name; the event's id when the event was made over HTTP.
    pub(super) name: String,
    /// Where it is from, for people.
    pub(super) source: String,
    /// Whether it is one event that was made over HTTP.
    pub(super) made: bool,
    pub(super) calendar: Arc<EventCalendar>,
}

impl Entry {
    /// Id of an event of this calendar.
    fn id(&self, event: &str) -> String {
        if self.made { self.name.clone() } else { format!("{}:{event}", self.name) }
    }
}

/// How a source of calendars is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceStatus {
    /// Its name: the calendar and the event of a feed, or the path of files.
    pub name: String,
    /// Where it is read from; of an address without its query, which may hold a secret.
    pub from: String,
    /// Events that a feed gives; `None` of files.
    pub events: Option<usize>,
    /// When it was read successfully last, over restarts too; `None` when never.
    pub good_at: Option<Timestamp>,
    /// Why the last attempt failed, when it did; what was read before is in force.
    pub error: Option<String>,
    /// Events in it that cannot be understood and are left out.
    pub problems: Vec<String>,
}

/// An occurrence and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Id of the event: what a cancellation names.
    pub id: String,
    /// Where its calendar is from, for people.
    pub source: String,
    /// What takes place.
    pub occurrence: Occurrence,
    /// It was cancelled over HTTP, and does not take place.
    pub cancelled: bool,
}

/// The effect that a tag turned out to have on one series.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedEffect {
    /// The service, node or workload that the series is of.
    pub subject: String,
    /// The quantity, such as `latency_p99_ms`.
    pub metric: String,
    /// The tag.
    pub tag: String,
    /// Its mean effect in words, such as `x1.80` or `+200`.
    pub effect: String,
    /// Where it comes from.
    pub source: EffectSource,
    /// Past occurrences behind it.
    pub occurrences: usize,
}

/// All calendars at one moment.
#[derive(Clone, Debug, Default)]
pub struct CalendarSet {
    pub(super) entries: Vec<Entry>,
    pub(super) cancelled: Arc<BTreeSet<Cancelled>>,
    pub(super) sources: Vec<SourceStatus>,
}

impl CalendarSet {
    /// What takes place between `from`, inclusive, and `to`, exclusive, also in part, with an effect on `subject`;
    /// cancelled occurrences are left out. Sorted by start, then name.
    pub fn occurrences(&self, subject: &Subject<'_>, from: Timestamp, to: Timestamp) -> Vec<Occurrence> {
        let ask = |calendar: &EventCalendar| calendar.occurrences(subject, from, to);
        self.found(ask).into_iter().filter(|found| !found.cancelled).map(|found| found.occurrence).collect()
    }

    /// For each event whether it concerns `subject`: where two subjects of one quantity have the same, what takes place
    /// is the same too.
    pub fn concerning(&self, subject: &Subject<'_>) -> Vec<bool> {
        self.entries.iter().flat_map(|entry| entry.calendar.concerning(subject)).collect()
    }

    /// All that takes place in that time, whatever it has an effect on, and what was cancelled over HTTP.
    pub fn all(&self, from: Timestamp, to: Timestamp) -> Vec<Found> {
        self.found(|calendar| calendar.all_occurrences(from, to))
    }

    /// The same with an effect on any quantity of one service.
    pub fn of_service(&self, service: &str, from: Timestamp, to: Timestamp) -> Vec<Found> {
        let latencies = (0..KEPT_QUANTILES.len()).map(Metric::Latency);
        let metrics: Vec<String> =
            latencies.chain([Metric::Throughput, Metric::Availability]).map(Metric::name).collect();
        self.found(|calendar| {
            // One occurrence may have an effect on several quantities.
            let mut each = BTreeMap::new();
            for metric in &metrics {
                let subject = Subject { workload: Some(service), ..Subject::service(service, metric) };
                for occurrence in calendar.occurrences(&subject, from, to) {
                    each.insert((occurrence.start, occurrence.event.clone()), occurrence);
                }
            }
            each.into_values().collect()
        })
    }

    /// How the sources are doing.
    pub fn sources(&self) -> &[SourceStatus] {
        &self.sources
    }

    /// Whether there is no calendar at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn found(&self, ask: impl Fn(&EventCalendar) -> Vec<Occurrence>) -> Vec<Found> {
        let mut all: Vec<Found> = self
            .entries
            .iter()
            .flat_map(|entry| ask(&entry.calendar).into_iter().map(move |occurrence| (entry, occurrence)))
            .map(|(entry, occurrence)| {
                let key = (entry.id(&occurrence.event), occurrence.start);
                let cancelled = self.cancelled.contains(&key);
                Found { id: key.0, source: entry.source.clone(), occurrence, cancelled }
            })
            .collect();
        all.sort_by(|a, b| {
            (a.occurrence.start, &a.occurrence.event, &a.id).cmp(&(
                b.occurrence.start,
                &b.occurrence.event,
                &b.id,
            ))
        });
        all
    }
}
