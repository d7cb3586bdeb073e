//! Event calendars: files, iCal feeds and events that are made over HTTP, as one set that the loop asks without IO.
//!
//! Files and feeds are read again and again. What was good last stays in force when a source fails or says nonsense,
//! over restarts too, and its age and error are shown.
mod fetch;
mod files;
mod metrics;
mod resources;
mod set;
mod settings;
mod sources;
mod start;
mod table;

pub use fetch::FetchLimits;
pub use files::CalendarError;
pub use metrics::CalendarMetrics;
pub use resources::{JudgedCalendar, Judging as CalendarJudging};
pub use set::{CalendarSet, Found, LearnedEffect, SourceStatus};
pub use settings::{CalendarSettings, IcalSettings};
pub use table::{MadeEvent, StateFileError};

use crate::{
    causes::chain,
    clock::Clock,
    due::refresh_until,
    regressors::{NAME_LIMIT, is_name},
};
use fetch::{Fetched, Fetcher, Validators};
use foremesh_calendar::{EventSpec, FeedSource};
use foremesh_core::time::Timestamp;
use foremesh_kubernetes::resources::Stored;
use futures::StreamExt as _;
use sources::{Made, Sources};
use start::{open_files, resume_feeds};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};
use table::Table;

/// Events that may be made over HTTP.
pub const MAX_MADE_EVENTS: usize = 1000;
/// Feeds that are read at the same time.
const FETCHES_AT_ONCE: usize = 4;

/// Why an event was not made, changed or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The id cannot be one.
    #[error("`{0}` cannot be an event's id; use {NAME_LIMIT}")]
    Id(String),
    /// It would be read from somewhere.
    #[error(
        "an event that is made over HTTP cannot be an iCal feed; add the feed to `calendars` in the settings"
    )]
    Feed,
    /// It cannot be accepted.
    #[error("the event cannot be accepted:{0}")]
    Problems(String),
    /// There is another event of this id.
    #[error(
        "there is an event `{0}` already, and it says something else; PUT it to /api/v1/events/{0} to replace it"
    )]
    Exists(String),
    /// There is no such event.
    #[error(
        "there is no event `{0}` that was made over HTTP; GET /api/v1/events lists what takes place, with ids"
    )]
    Unknown(String),
    /// There is no such occurrence.
    #[error(
        "event `{id}` has no occurrence that starts at {start}; GET /api/v1/events lists the occurrences with their \
         starts"
    )]
    NoOccurrence {
        /// The event.
        id: String,
        /// The start that was named.
        start: String,
    },
    /// There are too many.
    #[error("there are {MAX_MADE_EVENTS} events already; DELETE those that are over, or use a calendar file")]
    TooMany,
    /// The state file refused.
    #[error("the event could not be stored")]
    File(#[from] StateFileError),
}

/// What became of an event that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Made,
    /// It takes the place of another of its id.
    Replaced,
    /// It was there already.
    Unchanged,
}

/// All calendars, and who may change them.
#[derive(Debug)]
pub struct Calendars {
    clock: Clock,
    table: Table,
    fetcher: Fetcher,
    metrics: CalendarMetrics,
    sources: Mutex<Sources>,
    current: RwLock<Arc<CalendarSet>>,
    learned: RwLock<Arc<Vec<LearnedEffect>>>,
    /// Held over a change by HTTP, so that the file and the memory agree.
    change: tokio::sync::Mutex<()>,
}

impl Calendars {
    /// Reads every file of the settings, and with `fetch` every feed; keeps nothing. What is wrong with a feed that is
    /// elsewhere stands in the status of its source.
    ///
    /// # Errors
    /// At the first file that cannot be accepted.
    pub async fn check(
        settings: &[CalendarSettings],
        fetch: bool,
        clock: Clock,
    ) -> Result<Arc<CalendarSet>, CalendarError> {
        let nowhere = Path::new(":memory:");
        let calendars =
            Self::open(settings, nowhere, clock, FetchLimits::default(), CalendarMetrics::default())?;
        if fetch {
            calendars.refresh().await;
        }
        Ok(calendars.current())
    }

    /// Reads the files, and takes up from `path` what was good before.
    ///
    /// # Errors
    /// When a file cannot be accepted, or the state file cannot be read.
    pub fn open(
        settings: &[CalendarSettings],
        path: &Path,
        clock: Clock,
        limits: FetchLimits,
        metrics: CalendarMetrics,
    ) -> Result<Self, CalendarError> {
        let table = Table::open(path)?;
        let mut sources = open_files(settings, clock.now())?;
        resume_feeds(&mut sources, &table)?;
        sources.cancelled = Arc::new(table.cancelled()?);
        let (events, strange) = table.events()?;
        for id in strange {
            tracing::warn!(event = id, "the stored event is not understood and left out");
        }
        for (id, event) in events {
            match files::checked(&settings::document(&id, event.spec.clone()), "the state file") {
                Ok(calendar) => drop(sources.made.insert(id, Made { event, calendar: Arc::new(calendar) })),
                Err(error) => tracing::warn!(event = id, "the stored event is left out: {}", chain(&error)),
            }
        }
        let current = RwLock::new(Arc::new(sources.set()));
        Ok(Self {
            clock,
            table,
            fetcher: Fetcher::new(limits),
            metrics,
            sources: Mutex::new(sources),
            current,
            learned: RwLock::default(),
            change: tokio::sync::Mutex::default(),
        })
    }

    /// All calendars as they are now.
    pub fn current(&self) -> Arc<CalendarSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What events turned out to do, as [`Calendars::set_learned`] was told last.
    pub fn learned(&self) -> Arc<Vec<LearnedEffect>> {
        Arc::clone(&self.learned.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells what events turned out to do, for whoever asks the API; in place of what was told before.
    pub fn set_learned(&self, effects: Vec<LearnedEffect>) {
        *self.learned.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(effects);
    }

    /// Reads what is due, again and again, until `stop` says so.
    pub async fn run(self: Arc<Self>, stop: tokio::sync::watch::Receiver<bool>) {
        refresh_until(stop, || self.refresh()).await;
    }

    /// Reads every file and feed that is due. Whatever fails leaves in force what was read before.
    pub async fn refresh(&self) {
        let now = self.clock.now();
        let read_files = self.reread_files(now).await;
        let due: Vec<(String, FeedSource, Validators)> = self
            .lock()
            .feeds
            .iter()
            .filter(|(_, feed)| feed.next_at <= now)
            .map(|(key, feed)| (key.clone(), feed.source.clone(), feed.validators.clone()))
            .collect();
        let mut attempts = futures::stream::iter(due)
            .map(|(key, source, known)| async move {
                let attempt = self.read_feed(&source, &known).await;
                (key, source, attempt)
            })
            .buffer_unordered(FETCHES_AT_ONCE);
        let mut changed = read_files;
        while let Some((key, source, attempt)) = attempts.next().await {
            changed = true;
            let cached = self.lock().take(&key, &source, attempt, self.clock.now(), &self.metrics);
            // A file is read at every start anyway.
            if let (Some(cached), FeedSource::Url(_)) = (cached, &source)
                && let Err(error) = self.table.put_feed(&key, cached).await
            {
                tracing::warn!(feed = key, error = chain(&error), "the feed would not outlive a restart");
            }
        }
        if changed {
            self.publish();
        }
    }

    async fn reread_files(&self, now: Timestamp) -> bool {
        let due: Vec<(usize, CalendarSettings)> = self
            .lock()
            .files
            .iter()
            .enumerate()
            .filter(|(_, source)| source.settings.file.is_some() && source.next_at <= now)
            .map(|(index, source)| (index, source.settings.clone()))
            .collect();
        let any = !due.is_empty();
        for (index, settings) in due {
            let Ok(texts) = tokio::task::spawn_blocking(move || files::texts(&settings)).await else {
                continue;
            };
            self.lock().reread(index, texts, now, &self.metrics);
        }
        any
    }

    async fn read_feed(&self, source: &FeedSource, known: &Validators) -> Result<Fetched, String> {
        match source {
            FeedSource::Url(url) => self.fetcher.fetch(url, known).await.map_err(|error| chain(&error)),
            FeedSource::File(path) => {
                let path = std::path::PathBuf::from(path);
                let read = tokio::task::spawn_blocking(move || files::text(&path)).await;
                let text = read.map_err(|error| error.to_string())?.map_err(|error| chain(&error))?;
                Ok(Fetched::Text(text, Validators::default()))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        let set = Arc::new(self.lock().set());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
    }

    /// Takes the calendars that the cluster has now in the place of those that it had, and says what becomes of each.
    pub fn take_resources(&self, stored: &[Arc<Stored>], judging: &CalendarJudging) -> Vec<JudgedCalendar> {
        let (changed, judged) = {
            let mut sources = self.lock();
            let changed = sources.take_resources(stored, judging, self.clock.now());
            if changed && let Err(error) = resume_feeds(&mut sources, &self.table) {
                tracing::warn!(
                    error = chain(&error),
                    "what feeds gave before is not known; they are read anew"
                );
            }
            (changed, sources.resources.values().map(sources::ResourceSource::judged).collect())
        };
        if changed {
            self.publish();
        }
        judged
    }

    /// Events that were made over HTTP, by id.
    pub fn made(&self) -> BTreeMap<String, MadeEvent> {
        self.lock().made.iter().map(|(id, made)| (id.clone(), made.event.clone())).collect()
    }

    /// Makes an event, or puts it in the place of one of its id when `replace` is set; it is durable when this returns.
    ///
    /// # Errors
    /// When it cannot be accepted, or there is another one that must not be replaced.
    pub async fn put(&self, id: &str, spec: EventSpec, replace: bool) -> Result<Put, EventError> {
        if !is_name(id) {
            return Err(EventError::Id(id.to_owned()));
        }
        if spec.when.ical.is_some() {
            return Err(EventError::Feed);
        }
        let checked = foremesh_calendar::validate(&settings::document(id, spec.clone()));
        let calendar = checked.map_err(|problems| EventError::Problems(files::lines(&problems)))?;
        let _alone = self.change.lock().await;
        let (before, count) = {
            let sources = self.lock();
            (sources.made.get(id).map(|made| made.event.spec.clone()), sources.made.len())
        };
        let put = match before {
            Some(before) if before == spec => return Ok(Put::Unchanged),
            Some(_) if !replace => return Err(EventError::Exists(id.to_owned())),
            Some(_) => Put::Replaced,
            None if count >= MAX_MADE_EVENTS => return Err(EventError::TooMany),
            None => Put::Made,
        };
        let event = MadeEvent { spec, changed_at: self.clock.now() };
        self.table.put_event(id, &event).await?;
        self.lock().made.insert(id.to_owned(), Made { event, calendar: Arc::new(calendar) });
        self.publish();
        Ok(put)
    }

    /// Forgets an event that was made over HTTP, its past occurrences too.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn remove(&self, id: &str) -> Result<(), EventError> {
        let _alone = self.change.lock().await;
        if !self.lock().made.contains_key(id) {
            return Err(EventError::Unknown(id.to_owned()));
        }
        self.table.remove_event(id).await?;
        {
            let mut sources = self.lock();
            sources.made.remove(id);
            Arc::make_mut(&mut sources.cancelled).retain(|(event, _)| event != id);
        }
        self.publish();
        Ok(())
    }

    /// Cancels one occurrence of any event, also of one from a file or a feed; or takes that back.
    ///
    /// # Errors
    /// When no occurrence of that event starts then.
    pub async fn cancel(&self, id: &str, start: Timestamp, cancel: bool) -> Result<Found, EventError> {
        let _alone = self.change.lock().await;
        let set = self.current();
        let found = set
            .all(start, start.plus_ms(1))
            .into_iter()
            .find(|found| found.id == id && found.occurrence.start == start)
            .ok_or_else(|| EventError::NoOccurrence {
                id: id.to_owned(),
                start: crate::api::rfc3339(start),
            })?;
        let key = (id.to_owned(), start);
        if cancel {
            self.table.cancel(&key, self.clock.now()).await?;
            Arc::make_mut(&mut self.lock().cancelled).insert(key);
        } else {
            self.table.restore(&key).await?;
            Arc::make_mut(&mut self.lock().cancelled).remove(&key);
        }
        self.publish();
        Ok(Found { cancelled: cancel, ..found })
    }
}

#[cfg(test)]
mod tests;
