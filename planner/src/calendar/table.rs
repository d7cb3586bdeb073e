//! `calendar.db`: events that were made over HTTP, cancelled occurrences, and the last good text of every feed.
pub use crate::state_file::StateFileError;

use crate::state_file::StateFile;
use foremesh_calendar::EventSpec;
use foremesh_core::time::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        spec TEXT NOT NULL CHECK (json_valid(spec)),
        changed_at_ms INTEGER NOT NULL
    );
    CREATE TABLE cancellations (
        event TEXT NOT NULL,
        start_ms INTEGER NOT NULL,
        cancelled_at_ms INTEGER NOT NULL,
        PRIMARY KEY (event, start_ms)
    ) WITHOUT ROWID;
    CREATE TABLE feeds (
        feed TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        etag TEXT,
        last_modified TEXT,
        fetched_at_ms INTEGER NOT NULL,
        text TEXT NOT NULL
    );
"];

/// An event that was made over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeEvent {
    /// What it says.
    pub spec: EventSpec,
    /// When it was made or changed last.
    pub changed_at: Timestamp,
}

/// An occurrence that does not take place: the event's id and its start.
pub(super) type Cancelled = (String, Timestamp);

/// The last good text of a feed, and what the server said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CachedFeed {
    pub(super) source: String,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) fetched_at: Timestamp,
    pub(super) text: String,
}

/// The state file of the calendars; clones share one connection.
#[derive(Clone, Debug)]
pub(super) struct Table(StateFile);

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, StateFileError> {
        StateFile::open(path, &MIGRATIONS).map(Self)
    }

    /// Every event by its id. One that is not understood any more is left out and named.
    pub(super) fn events(&self) -> Result<(BTreeMap<String, MadeEvent>, Vec<String>), StateFileError> {
        self.0.now("read", |transaction| {
            let (mut events, mut strange) = (BTreeMap::new(), Vec::new());
            let mut select = transaction.prepare("SELECT id, spec, changed_at_ms FROM events")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let (id, spec): (String, String) = (row.get(0)?, row.get(1)?);
                let changed_at = Timestamp::from_unix_ms(row.get(2)?);
                match serde_json::from_str(&spec) {
                    Ok(spec) => drop(events.insert(id, MadeEvent { spec, changed_at })),
                    Err(_) => strange.push(id),
                }
            }
            Ok((events, strange))
        })
    }

    pub(super) fn cancelled(&self) -> Result<BTreeSet<Cancelled>, StateFileError> {
        self.0.now("read", |transaction| {
            let mut select = transaction.prepare("SELECT event, start_ms FROM cancellations")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, Timestamp::from_unix_ms(row.get(1)?))))?;
            rows.collect()
        })
    }

    pub(super) fn feed(&self, feed: &str) -> Result<Option<CachedFeed>, StateFileError> {
        self.0.now("read", |transaction| {
            transaction
                .query_row(
                    "SELECT source, etag, last_modified, fetched_at_ms, text FROM feeds WHERE feed = ?1",
                    [feed],
                    |row| {
                        Ok(CachedFeed {
                            source: row.get(0)?,
                            etag: row.get(1)?,
                            last_modified: row.get(2)?,
                            fetched_at: Timestamp::from_unix_ms(row.get(3)?),
                            text: row.get(4)?,
                        })
                    },
                )
                .optional()
        })
    }

    pub(super) async fn put_event(&self, id: &str, event: &MadeEvent) -> Result<(), StateFileError> {
        let (id, changed_at) = (id.to_owned(), event.changed_at.unix_ms());
        let spec = serde_json::to_string(&event.spec).unwrap_or_default();
        self.0
            .with("written", move |transaction| {
                transaction
                    .execute(
                        "INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3)",
                        params![id, spec, changed_at],
                    )
                    .map(drop)
            })
            .await
    }

    pub(super) async fn remove_event(&self, id: &str) -> Result<(), StateFileError> {
        let id = id.to_owned();
        self.0
            .with("written", move |transaction| {
                transaction.execute("DELETE FROM cancellations WHERE event = ?1", [&id])?;
                transaction.execute("DELETE FROM events WHERE id = ?1", [&id]).map(drop)
            })
            .await
    }

    pub(super) async fn cancel(&self, cancelled: &Cancelled, at: Timestamp) -> Result<(), StateFileError> {
        let (event, start_ms) = (cancelled.0.clone(), cancelled.1.unix_ms());
        self.0
            .with("written", move |transaction| {
                let row = params![event, start_ms, at.unix_ms()];
                transaction.execute("INSERT OR IGNORE INTO cancellations VALUES (?1, ?2, ?3)", row).map(drop)
            })
            .await
    }

    pub(super) async fn restore(&self, cancelled: &Cancelled) -> Result<(), StateFileError> {
        let (event, start_ms) = (cancelled.0.clone(), cancelled.1.unix_ms());
        self.0
            .with("written", move |transaction| {
                let row = params![event, start_ms];
                transaction
                    .execute("DELETE FROM cancellations WHERE event = ?1 AND start_ms = ?2", row)
                    .map(drop)
            })
            .await
    }

    pub(super) async fn put_feed(&self, feed: &str, cached: CachedFeed) -> Result<(), StateFileError> {
        let feed = feed.to_owned();
        self.0
            .with("written", move |transaction| {
                let fetched_at_ms = cached.fetched_at.unix_ms();
                transaction
                    .execute(
                        "INSERT OR REPLACE INTO feeds VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        params![
                            feed,
                            cached.source,
                            cached.etag,
                            cached.last_modified,
                            fetched_at_ms,
                            cached.text
                        ],
                    )
                    .map(drop)
            })
            .await
    }
}
