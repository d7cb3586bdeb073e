//! `rollouts.db`: every rollout record, durable before anything is done because of it.
use super::RolloutError;
use foremesh_core::{
    ids::RolloutId,
    rollout::{AbortRequest, RolloutRecord},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Version of the tables, in `PRAGMA user_version`.
const SCHEMA: i64 = 1;

/// `record` is the whole record as JSON; the other columns are copies for people with `sqlite3` and for look-ups.
const TABLES: &str = "
    CREATE TABLE rollouts (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        workload TEXT NOT NULL,
        state TEXT NOT NULL,
        is_over INTEGER NOT NULL,
        entered_at_ms INTEGER NOT NULL,
        reported INTEGER NOT NULL DEFAULT 0,
        record TEXT NOT NULL
    );
    CREATE INDEX rollouts_entered ON rollouts (entered_at_ms);
    CREATE TABLE aborts (rollout TEXT PRIMARY KEY, request TEXT NOT NULL);
    CREATE TABLE newest (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL);
";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The journal; clones share one connection.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

/// A record with the number of its changes of state that the audit has.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: RolloutRecord,
    pub(super) reported: usize,
}

impl Journal {
    pub(super) fn open(path: &Path) -> Result<Self, RolloutError> {
        let failed = |source: rusqlite::Error| RolloutError::Journal {
            action: "open",
            path: path.to_owned(),
            source: Box::new(source),
        };
        let mut connection = Connection::open(path).map_err(failed)?;
        // FULL: a commit is on disk when it returns, also after a power cut. A rollout commits a few times a minute.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;";
        connection.execute_batch(pragmas).map_err(failed)?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if found > SCHEMA {
            return Err(RolloutError::NewerJournal { path: path.to_owned(), found, known: SCHEMA });
        }
        if found == 0 {
            let transaction = connection.transaction().map_err(failed)?;
            transaction.execute_batch(TABLES).map_err(failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)) })
    }

    /// Stores new rollouts and the generation of their plan, all or none.
    pub(super) async fn accept(
        &self,
        records: Vec<RolloutRecord>,
        generation: u64,
    ) -> Result<(), RolloutError> {
        self.with("write", move |connection| {
            let transaction = connection.transaction()?;
            for record in &records {
                transaction.execute(
                    "INSERT INTO rollouts (id, workload, state, is_over, entered_at_ms, record)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        record.id.as_str(),
                        record.relocation.workload.as_str(),
                        record.state.to_string(),
                        record.state.is_last(),
                        record.entered_at.unix_ms(),
                        serde_json::to_string(record)?
                    ],
                )?;
            }
            transaction.execute(
                "INSERT INTO newest (one, generation) VALUES (1, ?1)
                 ON CONFLICT (one) DO UPDATE SET generation = excluded.generation",
                [i64::try_from(generation)?],
            )?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// Stores a record that is there already.
    pub(super) async fn save(&self, record: &RolloutRecord) -> Result<(), RolloutError> {
        let record = record.clone();
        self.with("write", move |connection| {
            connection.execute(
                "UPDATE rollouts SET state = ?2, is_over = ?3, entered_at_ms = ?4, record = ?5 WHERE id = ?1",
                params![
                    record.id.as_str(),
                    record.state.to_string(),
                    record.state.is_last(),
                    record.entered_at.unix_ms(),
                    serde_json::to_string(&record)?
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes how many changes of state the audit has.
    pub(super) async fn save_reported(&self, id: &RolloutId, reported: usize) -> Result<(), RolloutError> {
        let id = id.clone();
        self.with("write", move |connection| {
            let reported = i64::try_from(reported)?;
            connection
                .execute("UPDATE rollouts SET reported = ?2 WHERE id = ?1", params![id.as_str(), reported])?;
            Ok(())
        })
        .await
    }

    /// Stores an operator's wish; the first one counts.
    pub(super) async fn save_abort(
        &self,
        id: &RolloutId,
        request: &AbortRequest,
    ) -> Result<(), RolloutError> {
        let (id, request) = (id.clone(), request.clone());
        self.with("write", move |connection| {
            connection.execute(
                "INSERT OR IGNORE INTO aborts (rollout, request) VALUES (?1, ?2)",
                params![id.as_str(), serde_json::to_string(&request)?],
            )?;
            Ok(())
        })
        .await
    }

    pub(super) async fn abort(&self, id: &RolloutId) -> Result<Option<AbortRequest>, RolloutError> {
        let id = id.clone();
        self.with("read", move |connection| {
            let text: Option<String> = connection
                .query_row("SELECT request FROM aborts WHERE rollout = ?1", [id.as_str()], |row| row.get(0))
                .optional()?;
            Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
        })
        .await
    }

    /// Rollouts that are not over, or whose end the audit does not have yet; oldest first.
    pub(super) async fn unfinished(&self) -> Result<Vec<Entry>, RolloutError> {
        self.entries("WHERE is_over = 0 OR reported < json_array_length(record, '$.history')", 0).await
    }

    /// Every rollout, oldest first.
    pub(super) async fn all(&self) -> Result<Vec<Entry>, RolloutError> {
        self.entries("", 0).await
    }

    /// Rollouts that changed their state since then or are not over; oldest first.
    pub(super) async fn since(&self, since: Timestamp) -> Result<Vec<Entry>, RolloutError> {
        self.entries("WHERE is_over = 0 OR entered_at_ms >= ?1", since.unix_ms()).await
    }

    async fn entries(&self, filter: &'static str, argument: i64) -> Result<Vec<Entry>, RolloutError> {
        self.with("read", move |connection| {
            let query = format!("SELECT record, reported FROM rollouts {filter} ORDER BY number");
            let mut statement = connection.prepare(&query)?;
            let arguments: &[i64] = if filter.contains("?1") { &[argument] } else { &[] };
            let mut rows = statement.query(rusqlite::params_from_iter(arguments))?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(entry(row)?);
            }
            Ok(entries)
        })
        .await
    }

    pub(super) async fn get(&self, id: &RolloutId) -> Result<Option<Entry>, RolloutError> {
        let id = id.clone();
        self.with("read", move |connection| {
            let mut statement = connection.prepare("SELECT record, reported FROM rollouts WHERE id = ?1")?;
            let mut rows = statement.query([id.as_str()])?;
            rows.next()?.map(entry).transpose()
        })
        .await
    }

    /// The newest generation that was ever accepted, 0 when there was none.
    pub(super) async fn newest_generation(&self) -> Result<u64, RolloutError> {
        self.with("read", |connection| {
            let query = "SELECT generation FROM newest";
            let newest: Option<i64> = connection.query_row(query, [], |row| row.get(0)).optional()?;
            Ok(newest.map_or(0, i64::cast_unsigned))
        })
        .await
    }

    /// Runs a piece of SQL where it may block.
    async fn with<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, AnyError> + Send + 'static,
    ) -> Result<T, RolloutError> {
        let failed = |source| RolloutError::Journal { action, path: self.path.clone(), source };
        let connection = Arc::clone(&self.connection);
        let ran = tokio::task::spawn_blocking(move || {
            // A panic while the lock was held rolled its transaction back; the connection is still good.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        ran.await.map_err(|error| failed(Box::new(error)))?.map_err(failed)
    }
}

fn entry(row: &Row<'_>) -> Result<Entry, AnyError> {
    let text: String = row.get(0)?;
    let reported: i64 = row.get(1)?;
    Ok(Entry { record: serde_json::from_str(&text)?, reported: usize::try_from(reported)? })
}
