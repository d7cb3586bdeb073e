//! A checked calendar, which can be asked what takes place when.
use foremesh_core::{
    calendar::{Occurrence, Subject},
    policy::SpecProblem,
    time::Timestamp,
};

/// A checked calendar.
#[derive(Clone, Debug)]
pub struct EventCalendar {
    name: String,
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
        Vec::new()
    }

    /// Takes the text of the feed of `event`, in place of what it said before.
    ///
    /// # Errors
    /// When the text is no calendar, or none of its events can be understood; what it said before stays in force.
    pub fn read_feed(&mut self, _event: &str, _text: &str) -> Result<FeedReport, Vec<SpecProblem>> {
        Ok(FeedReport::default())
    }

    /// What takes place between `from`, inclusive, and `to`, exclusive, also in part, with an effect on `subject`;
    /// cancelled occurrences are left out. Sorted by start, then name.
    ///
    /// At most [`MOST_OCCURRENCES`] of one event are given, the first ones.
    pub fn occurrences(&self, _subject: &Subject<'_>, _from: Timestamp, _to: Timestamp) -> Vec<Occurrence> {
        Vec::new()
    }

    /// Like [`Self::occurrences`], but of all events, whatever they have an effect on.
    pub fn all_occurrences(&self, _from: Timestamp, _to: Timestamp) -> Vec<Occurrence> {
        Vec::new()
    }
}

/// Most occurrences of one event that are given for one window.
pub const MOST_OCCURRENCES: usize = 10_000;
