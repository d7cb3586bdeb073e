//! A checked calendar, which can be asked what takes place when.
use crate::{
    cron::Pattern,
    ical::{self, Defaults, IcalEvent, Unreadable},
    recurrence::Recurrence,
    written::Written,
    zone::Zone,
};
use foremesh_core::{
    calendar::{ExpectedEffect, Occurrence, Scope, Subject},
    document::SpecProblem,
    time::Timestamp,
};

/// Most occurrences of one event that are given for one window.
pub const MOST_OCCURRENCES: usize = 10_000;

/// 1970 and 2201: no event may be written outside.
const EARLIEST: Timestamp = Timestamp::from_unix_ms(0);
const LATEST: Timestamp = Timestamp::from_unix_ms(7_289_654_400_000);

/// A checked calendar.
#[derive(Clone, Debug)]
pub struct EventCalendar {
    pub(crate) name: String,
    pub(crate) events: Vec<Event>,
}

/// A checked event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    /// Never empty, except for a feed whose events have tags of their own.
    pub(crate) tags: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) expected: Option<ExpectedEffect>,
    pub(crate) zone: Zone,
    pub(crate) cancelled: Vec<Written>,
    pub(crate) when: When,
}

/// When an event takes place.
#[derive(Clone, Debug)]
pub(crate) enum When {
    /// At the times of a cron pattern, for so many milliseconds.
    Cron(Box<Pattern>, i64),
    /// Once, or by a rule.
    Recurrence(Recurrence),
    /// As a feed says, which gave these events so far.
    Feed { source: Option<FeedSource>, refresh_ms: i64, defaults: Defaults, events: Vec<IcalEvent> },
}

/// Where the text of a feed comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedSource {
    /// A file.
    File(String),
    /// An address, `http` or `https`.
    Url(String),
}

/// A feed that must be read and handed in by [`EventCalendar::read_feed`], again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Name of the event in the calendar that it belongs to.
    pub event: String,
    /// Where its text comes from.
    pub source: FeedSource,
    /// How often to read it, in milliseconds.
    pub refresh_ms: i64,
}

/// What was found in the text of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedReport {
    /// Events that are in force from now on.
    pub events: usize,
    /// Events that could not be understood and are left out.
    pub problems: Vec<SpecProblem>,
}

impl EventCalendar {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Feeds that its events come from.
    pub fn feeds(&self) -> Vec<Feed> {
        let feed = |event: &Event| match &event.when {
            When::Feed { source: Some(source), refresh_ms, .. } => {
                Some(Feed { event: event.name.clone(), source: source.clone(), refresh_ms: *refresh_ms })
            }
            _ => None,
        };
        self.events.iter().filter_map(feed).collect()
    }

    /// Takes the text of the feed of `event`, in place of what it said before.
    ///
    /// # Errors
    /// When there is no such feed, or the text is no calendar, or none of its events can be understood; what it said
    /// before stays in force.
    pub fn read_feed(&mut self, event: &str, text: &str) -> Result<FeedReport, Vec<SpecProblem>> {
        let feed = self.events.iter_mut().enumerate().find(|(_, candidate)| candidate.name == event);
        let Some((index, Event { when: When::Feed { events, defaults, .. }, .. })) = feed else {
            return Err(vec![SpecProblem {
                path: "spec.events".to_owned(),
                value: ical::quoted(event),
                limit: "no event with this name comes from a feed".to_owned(),
                remedy: "name one of the calendar's feeds".to_owned(),
            }]);
        };
        let (found, report) = read_feed_text(&format!("spec.events[{index}].when.ical"), text, *defaults)?;
        *events = found;
        Ok(report)
    }

    /// What takes place between `from`, inclusive, and `to`, exclusive, also in part, with an effect on `subject`;
    /// cancelled occurrences are left out. Sorted by start, then name.
    ///
    /// At most [`MOST_OCCURRENCES`] of one event are given, the first ones.
    pub fn occurrences(&self, subject: &Subject<'_>, from: Timestamp, to: Timestamp) -> Vec<Occurrence> {
        let concerned = |event: &&Event| event.scope.selects(subject);
        let mut found = sorted(self.events.iter().filter(concerned), from, to);
        for occurrence in &mut found {
            occurrence.expected = occurrence.expected.take().filter(|effect| effect.concerns(subject.metric));
        }
        found
    }

    /// For each event whether it concerns `subject`.
    pub fn concerning<'c>(&'c self, subject: &'c Subject<'c>) -> impl Iterator<Item = bool> + use<'c> {
        self.events.iter().map(move |event| event.scope.selects(subject))
    }

    /// Like [`Self::occurrences`], but of all events, whatever they have an effect on.
    pub fn all_occurrences(&self, from: Timestamp, to: Timestamp) -> Vec<Occurrence> {
        sorted(self.events.iter(), from, to)
    }
}

fn sorted<'a>(events: impl Iterator<Item = &'a Event>, from: Timestamp, to: Timestamp) -> Vec<Occurrence> {
    let mut found: Vec<Occurrence> = events.flat_map(|event| event.between(from, to)).collect();
    found.sort_by(|a, b| (a.start, &a.event, a.end).cmp(&(b.start, &b.event, b.end)));
    found
}

impl Event {
    /// Occurrences that overlap the window and are not cancelled.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Occurrence> {
        // No event lies outside, and a walk over all that 64 bits can say would not end.
        let (from, to) = (from.max(EARLIEST), to.min(LATEST));
        if from >= to {
            return Vec::new();
        }
        let mut found = Vec::new();
        match &self.when {
            When::Cron(pattern, length_ms) => {
                let early = from.plus_ms(1 - length_ms);
                let starts = pattern.starts(self.zone, early, to, MOST_OCCURRENCES);
                found.extend(
                    starts.into_iter().map(|start| self.occurrence(start, start.plus_ms(*length_ms), None)),
                );
            }
            When::Recurrence(recurrence) => {
                let spans = recurrence.between(from, to, MOST_OCCURRENCES);
                found.extend(spans.into_iter().map(|(start, end)| self.occurrence(start, end, None)));
            }
            When::Feed { events, .. } => {
                for event in events {
                    let spans = event.recurrence.between(from, to, MOST_OCCURRENCES - found.len());
                    found.extend(
                        spans.into_iter().map(|(start, end)| self.occurrence(start, end, Some(event))),
                    );
                }
            }
        }
        found.retain(|occurrence| !self.cancelled.iter().any(|out| out.names(occurrence.start, self.zone)));
        found
    }

    fn occurrence(&self, start: Timestamp, end: Timestamp, source: Option<&IcalEvent>) -> Occurrence {
        let name = source.map_or(self.name.clone(), |event| format!("{}/{}", self.name, event.name));
        let mut tags = self.tags.clone();
        for category in source.map_or(&[][..], |event| &event.categories) {
            if !tags.contains(category) {
                tags.push(category.clone());
            }
        }
        if tags.is_empty() {
            tags.push(name.clone());
        }
        Occurrence { event: name, tags, start, end, expected: self.expected.clone() }
    }
}

/// Events of a feed's text, and what could not be understood of it.
pub(crate) fn read_feed_text(
    path: &str,
    text: &str,
    defaults: Defaults,
) -> Result<(Vec<IcalEvent>, FeedReport), Vec<SpecProblem>> {
    let (events, unreadable) = ical::read(text, defaults).map_err(|why| {
        vec![SpecProblem {
            path: path.to_owned(),
            value: ical::quoted(text),
            limit: format!("it is no calendar of RFC 5545: {why}"),
            remedy: "give the address or file of an .ics calendar".to_owned(),
        }]
    })?;
    let problems: Vec<SpecProblem> = unreadable.into_iter().map(|event| problem_of(path, event)).collect();
    if events.is_empty() && !problems.is_empty() {
        return Err(problems);
    }
    let report = FeedReport { events: events.len(), problems };
    Ok((events, report))
}

pub(crate) fn problem_of(path: &str, unreadable: Unreadable) -> SpecProblem {
    let Unreadable { event, value, limit, remedy } = unreadable;
    let path = if event.is_empty() { path.to_owned() } else { format!("{path}: {event}") };
    SpecProblem { path, value, limit, remedy }
}
