//! The sources of calendars and what they gave last: the state that [`super::Calendars`] keeps.
//!
//! Whatever fails, what was read before stays in force.
use super::{
    fetch::{Fetched, Validators},
    files::{self, CalendarError, ReadCalendar},
    metrics::CalendarMetrics,
    resources::{self, JudgedCalendar, Judging},
    set::{CalendarSet, Entry, SourceStatus},
    settings::CalendarSettings,
    table::{CachedFeed, Cancelled, MadeEvent},
};
use crate::kubernetes::acceptance::Acceptance;
use foremesh_calendar::{EventCalendar, Feed, FeedSource};
use foremesh_core::time::Timestamp;
use foremesh_kubernetes::resources::Stored;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Longest wait before a failed read is tried again.
const RETRY_MS: i64 = 60_000;

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<FileSource>,
    pub(super) feeds: BTreeMap<String, FeedState>,
    pub(super) made: BTreeMap<String, Made>,
    /// Those of the cluster, by their names.
    pub(super) resources: BTreeMap<String, ResourceSource>,
    pub(super) cancelled: Arc<BTreeSet<Cancelled>>,
}

/// An event that was made over HTTP, checked.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) event: MadeEvent,
    pub(super) calendar: Arc<EventCalendar>,
}

/// A calendar of the cluster.
#[derive(Debug)]
pub(super) struct ResourceSource {
    pub(super) stored: Arc<Stored>,
    /// What was accepted last; none when nothing was.
    pub(super) read: Option<ReadCalendar>,
    pub(super) acceptance: Acceptance,
    pub(super) events: usize,
    pub(super) next: Option<(String, Timestamp)>,
    pub(super) next_looked_at: Option<Timestamp>,
}

/// One entry of the settings.
#[derive(Debug)]
pub(super) struct FileSource {
    pub(super) settings: CalendarSettings,
    /// The texts that the calendars were made from, so that unchanged ones are not made again.
    pub(super) texts: Vec<(PathBuf, String)>,
    pub(super) calendars: Vec<ReadCalendar>,
    pub(super) good_at: Timestamp,
    pub(super) next_at: Timestamp,
    pub(super) error: Option<String>,
}

/// One feed.
#[derive(Clone, Debug)]
pub(super) struct FeedState {
    pub(super) source: FeedSource,
    pub(super) refresh_ms: i64,
    pub(super) next_at: Timestamp,
    pub(super) validators: Validators,
    pub(super) text: Option<String>,
    pub(super) good_at: Option<Timestamp>,
    pub(super) events: usize,
    pub(super) error: Option<String>,
    pub(super) problems: Vec<String>,
}

impl FeedState {
    /// A feed that was never read.
    fn new(source: FeedSource, refresh_ms: i64, now: Timestamp) -> Self {
        Self {
            source,
            refresh_ms,
            next_at: now,
            validators: Validators::default(),
            text: None,
            good_at: None,
            events: 0,
            error: None,
            problems: Vec::new(),
        }
    }

    /// Takes up what was cached, unless it is of another source.
    pub(super) fn resume(&mut self, cached: CachedFeed) {
        if cached.source == source_text(&self.source) {
            self.validators = Validators { etag: cached.etag, last_modified: cached.last_modified };
            self.good_at = Some(cached.fetched_at);
            self.text = Some(cached.text);
        }
    }

    /// What is to be kept over a restart.
    pub(super) fn cached(&self) -> Option<CachedFeed> {
        Some(CachedFeed {
            source: source_text(&self.source),
            etag: self.validators.etag.clone(),
            last_modified: self.validators.last_modified.clone(),
            fetched_at: self.good_at?,
            text: self.text.clone()?,
        })
    }
}

fn source_text(source: &FeedSource) -> String {
    match source {
        FeedSource::File(path) => path.clone(),
        FeedSource::Url(url) => url.clone(),
    }
}

/// A source as people are shown it: the query and the user of an address may be secrets.
pub(super) fn shown(source: &FeedSource) -> String {
    let text = source_text(source);
    let FeedSource::Url(url) = source else { return text };
    let Ok(mut url) = url.parse::<reqwest::Url>() else { return "an address that cannot be read".to_owned() };
    url.set_query(None);
    let _ = (url.set_username(""), url.set_password(None));
    url.to_string()
}

/// Key of a feed, and the id of what it gives.
pub(super) fn feed_key(calendar: &str, event: &str) -> String {
    format!("{calendar}:{event}")
}

fn resolved(feed: &Feed, base: &Path) -> FeedSource {
    match &feed.source {
        FeedSource::File(path) => FeedSource::File(base.join(path).display().to_string()),
        url @ FeedSource::Url(_) => url.clone(),
    }
}

impl FileSource {
    /// Reads a source for the first time.
    ///
    /// # Errors
    /// When it cannot be accepted.
    pub(super) fn open(settings: &CalendarSettings, now: Timestamp) -> Result<Self, CalendarError> {
        settings.check()?;
        let texts = files::texts(settings)?;
        let calendars = files::calendars(settings, &texts)?;
        let next_at = now.plus_ms(settings.refresh.ms());
        Ok(Self { settings: settings.clone(), texts, calendars, good_at: now, next_at, error: None })
    }
}

impl ResourceSource {
    /// What becomes of a calendar that is new or changed.
    fn new(stored: &Arc<Stored>, before: Option<Self>, judging: &Judging, taken: &BTreeSet<String>) -> Self {
        let (read, acceptance, events) = match resources::read(stored, judging, taken) {
            Ok((read, events)) => (Some(read), Acceptance::yes("in force"), events),
            Err(mut no) => {
                let before = before.filter(|_| no.reason != "NameTaken");
                let (read, events) = before.map_or((None, 0), |before| (before.read, before.events));
                if read.is_some() {
                    no.message.push_str("\nwhat it said when it was accepted last is in force");
                }
                (read, no, events)
            }
        };
        Self { stored: Arc::clone(stored), read, acceptance, events, next: None, next_looked_at: None }
    }

    /// Looks for what takes place next, when that may have changed: a feed changes without the calendar.
    fn look_ahead(&mut self, now: Timestamp) {
        let fresh = self.next_looked_at.is_some_and(|at| now.ms_since(at) < RETRY_MS);
        if fresh && self.next.as_ref().is_none_or(|(_, start)| *start >= now) {
            return;
        }
        self.next = self.read.as_ref().and_then(|read| resources::next(&read.calendar, now));
        self.next_looked_at = Some(now);
    }

    /// What is said of it in its status.
    pub(super) fn judged(&self) -> JudgedCalendar {
        JudgedCalendar {
            stored: Arc::clone(&self.stored),
            acceptance: self.acceptance.clone(),
            events: self.events,
            next: self.next.clone(),
        }
    }
}

impl Sources {
    /// Every calendar with its feeds.
    fn calendars(&self) -> impl Iterator<Item = &ReadCalendar> {
        let of_files = self.files.iter().flat_map(|source| &source.calendars);
        of_files.chain(self.resources.values().filter_map(|source| source.read.as_ref()))
    }

    /// Takes what the cluster has now in the place of what it had; says whether that changed anything that is in force.
    pub(super) fn take_resources(
        &mut self,
        stored: &[Arc<Stored>],
        judging: &Judging,
        now: Timestamp,
    ) -> bool {
        let of_files = self.files.iter().flat_map(|source| &source.calendars);
        let taken: BTreeSet<String> = of_files.map(|calendar| calendar.calendar.name().to_owned()).collect();
        let mut before = std::mem::take(&mut self.resources);
        let mut changed = false;
        for stored in stored.iter().filter(|stored| !stored.terminating) {
            let name = resources::name_of(stored);
            let known = before.remove(&name);
            let source = match known {
                Some(known) if known.stored.spec == stored.spec && !taken.contains(&name) => {
                    ResourceSource { stored: Arc::clone(stored), ..known }
                }
                known => {
                    changed = true;
                    ResourceSource::new(stored, known, judging, &taken)
                }
            };
            self.resources.insert(name, source);
        }
        changed |= !before.is_empty();
        if changed {
            self.feed_anew(now);
        }
        self.resources.values_mut().for_each(|source| source.look_ahead(now));
        changed
    }

    /// Refuses two calendars of one name.
    pub(super) fn check_names(&self) -> Result<(), CalendarError> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for calendar in self.files.iter().flat_map(|source| &source.calendars) {
            if let Some(first) = seen.insert(calendar.calendar.name(), &calendar.place) {
                return Err(CalendarError::Twice {
                    calendar: calendar.calendar.name().to_owned(),
                    first: first.to_owned(),
                    second: calendar.place.clone(),
                });
            }
        }
        Ok(())
    }

    /// Makes the list of feeds that of the calendars: new ones are due at once, ones that are gone are forgotten, and
    /// the others keep what they gave.
    pub(super) fn list_feeds(&mut self, now: Timestamp) {
        let mut before = std::mem::take(&mut self.feeds);
        let mut feeds = BTreeMap::new();
        for calendar in self.calendars() {
            for feed in calendar.calendar.feeds() {
                let key = feed_key(calendar.calendar.name(), &feed.event);
                let source = resolved(&feed, &calendar.base);
                let state = match before.remove(&key) {
                    Some(before) if before.source == source => {
                        FeedState { refresh_ms: feed.refresh_ms, ..before }
                    }
                    _ => FeedState::new(source, feed.refresh_ms, now),
                };
                feeds.insert(key, state);
            }
        }
        self.feeds = feeds;
    }

    /// Hands a text to the calendar that the feed belongs to; what it said before stays in force when it is bad.
    ///
    /// # Errors
    /// When the text is no calendar.
    pub(super) fn apply(&mut self, key: &str, text: &str) -> Result<(), CalendarError> {
        let of_files = self.files.iter_mut().flat_map(|source| &mut source.calendars);
        let of_cluster = self.resources.values_mut().filter_map(|source| source.read.as_mut());
        for calendar in of_files.chain(of_cluster) {
            let name = calendar.calendar.name().to_owned();
            let Some(event) = key.strip_prefix(&format!("{name}:")) else { continue };
            if !calendar.calendar.feeds().iter().any(|feed| feed.event == event) {
                continue;
            }
            let mut changed = calendar.calendar.clone();
            let report = changed.read_feed(event, text).map_err(|problems| CalendarError::Feed {
                calendar: name,
                feed: event.to_owned(),
                problems: files::lines(&problems),
            })?;
            calendar.calendar = changed;
            if let Some(feed) = self.feeds.get_mut(key) {
                feed.events = report.events;
                feed.problems = report.problems.iter().map(ToString::to_string).collect();
            }
            return Ok(());
        }
        Ok(())
    }

    /// Takes the result of one attempt to read a feed. Gives what is to be kept on disk, if that changed.
    pub(super) fn take(
        &mut self,
        key: &str,
        source: &FeedSource,
        attempt: Result<Fetched, String>,
        now: Timestamp,
        metrics: &CalendarMetrics,
    ) -> Option<CachedFeed> {
        // The settings file of a feed may have changed while it was read.
        if self.feeds.get(key).is_none_or(|feed| feed.source != *source) {
            return None;
        }
        let attempt = match attempt {
            Ok(Fetched::Text(text, validators)) => {
                let same = self.feeds.get(key).and_then(|feed| feed.text.as_deref()) == Some(text.as_str());
                let applied = if same { Ok(()) } else { self.apply(key, &text) };
                applied.map(|()| (!same, Some((text, validators)))).map_err(|e| crate::causes::chain(&e))
            }
            Ok(Fetched::Unchanged) => Ok((false, None)),
            Err(why) => Err(why),
        };
        let feed = self.feeds.get_mut(key)?;
        match attempt {
            Ok((changed, new)) => {
                if feed.error.take().is_some() {
                    tracing::info!(feed = key, "the feed can be read again");
                }
                feed.good_at = Some(now);
                feed.next_at = now.plus_ms(feed.refresh_ms);
                if let Some((text, validators)) = new {
                    (feed.text, feed.validators) = (Some(text), validators);
                }
                metrics.refreshed(key, if changed { "changed" } else { "unchanged" });
                metrics.good(key, now.unix_ms());
                feed.cached()
            }
            Err(why) => {
                metrics.refreshed(key, "failed");
                feed.next_at = now.plus_ms(feed.refresh_ms.min(RETRY_MS));
                if feed.error.as_deref() != Some(&why) {
                    tracing::warn!(
                        feed = key,
                        error = why,
                        "the feed cannot be read; what it said before is in force"
                    );
                }
                feed.error = Some(why);
                None
            }
        }
    }

    /// Takes the result of one attempt to read the files of a source again.
    pub(super) fn reread(
        &mut self,
        index: usize,
        attempt: Result<Vec<(PathBuf, String)>, CalendarError>,
        now: Timestamp,
        metrics: &CalendarMetrics,
    ) {
        let Some(source) = self.files.get(index) else { return };
        let title = source.settings.title();
        let attempt = attempt.and_then(|texts| {
            if texts == source.texts {
                return Ok(None);
            }
            files::calendars(&source.settings, &texts).map(|calendars| Some((texts, calendars)))
        });
        let changed = match attempt {
            Ok(None) => Ok(false),
            Ok(Some((texts, calendars))) => self.replace(index, texts, calendars, now).map(|()| true),
            Err(error) => Err(error),
        };
        let Some(source) = self.files.get_mut(index) else { return };
        source.next_at = now.plus_ms(source.settings.refresh.ms());
        match changed {
            Ok(changed) => {
                if source.error.take().is_some() {
                    tracing::info!(calendar = title, "the calendar can be read again");
                }
                source.good_at = now;
                metrics.refreshed(&title, if changed { "changed" } else { "unchanged" });
                metrics.good(&title, now.unix_ms());
            }
            Err(error) => {
                metrics.refreshed(&title, "failed");
                let why = crate::causes::chain(&error);
                if source.error.as_deref() != Some(&why) {
                    tracing::warn!(
                        calendar = title,
                        error = why,
                        "what the calendar said before is in force"
                    );
                }
                source.error = Some(why);
            }
        }
    }

    /// Puts new calendars in the place of a source's old ones, with what their feeds gave last.
    fn replace(
        &mut self,
        index: usize,
        texts: Vec<(PathBuf, String)>,
        calendars: Vec<ReadCalendar>,
        now: Timestamp,
    ) -> Result<(), CalendarError> {
        let Some(source) = self.files.get_mut(index) else { return Ok(()) };
        let before = std::mem::replace(&mut source.calendars, calendars);
        if let Err(error) = self.check_names() {
            if let Some(source) = self.files.get_mut(index) {
                source.calendars = before;
            }
            return Err(error);
        }
        if let Some(source) = self.files.get_mut(index) {
            source.texts = texts;
        }
        self.feed_anew(now);
        Ok(())
    }

    /// Hands what feeds gave last to calendars that are new.
    fn feed_anew(&mut self, now: Timestamp) {
        self.list_feeds(now);
        let known: Vec<(String, String)> =
            self.feeds.iter().filter_map(|(key, feed)| Some((key.clone(), feed.text.clone()?))).collect();
        for (key, text) in known {
            // It was good before, under other tags or another scope.
            if let Err(error) = self.apply(&key, &text)
                && let Some(feed) = self.feeds.get_mut(&key)
            {
                feed.error = Some(crate::causes::chain(&error));
            }
        }
    }

    /// What is in force now.
    pub(super) fn set(&self) -> CalendarSet {
        let mut set = CalendarSet { cancelled: Arc::clone(&self.cancelled), ..CalendarSet::default() };
        for source in &self.files {
            for calendar in &source.calendars {
                set.entries.push(Entry {
                    name: calendar.calendar.name().to_owned(),
                    source: calendar.place.clone(),
                    made: false,
                    calendar: Arc::new(calendar.calendar.clone()),
                });
            }
            if source.settings.file.is_some() {
                set.sources.push(SourceStatus {
                    name: source.settings.title(),
                    from: source.settings.title(),
                    events: None,
                    good_at: Some(source.good_at),
                    error: source.error.clone(),
                    problems: Vec::new(),
                });
            }
        }
        for calendar in self.resources.values().filter_map(|source| source.read.as_ref()) {
            set.entries.push(Entry {
                name: calendar.calendar.name().to_owned(),
                source: calendar.place.clone(),
                made: false,
                calendar: Arc::new(calendar.calendar.clone()),
            });
        }
        for (key, feed) in &self.feeds {
            set.sources.push(SourceStatus {
                name: key.clone(),
                from: shown(&feed.source),
                events: Some(feed.events),
                good_at: feed.good_at,
                error: feed.error.clone(),
                problems: feed.problems.clone(),
            });
        }
        for (id, made) in &self.made {
            set.entries.push(Entry {
                name: id.clone(),
                source: "the API".to_owned(),
                made: true,
                calendar: Arc::clone(&made.calendar),
            });
        }
        set
    }
}
