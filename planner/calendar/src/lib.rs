//! Event calendars: one-off, cron, RRULE and iCal, turned into occurrences; and freeze windows of policies, turned into
//! the times at which nothing moves.
//!
//! A calendar is checked once, when it is read, by [`validate`], and is only then an [`EventCalendar`]. Nothing here
//! reads a clock, a file or the network: the text of a feed is an argument, and so is the window that is asked about.
//! This is a crate of its own because the libraries that read these texts can read a clock, which the core must not.
mod check;
mod cron;
mod document;
mod event_calendar;
mod freeze;
mod ical;
mod recurrence;
mod written;
mod zone;

pub use check::{LONGEST_MS, MOST_EVENTS};
pub use document::{
    AtSpec, CalendarDocument, CalendarSpec, EventSpec, IcalSpec, KIND, Metadata, WhenSpec, WindowSpec,
    validate,
};
pub use event_calendar::{EventCalendar, Feed, FeedReport, FeedSource, MOST_OCCURRENCES};
pub use freeze::{check_freezes, freezes};
