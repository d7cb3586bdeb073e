//! `rollouts.db`: every rollout record, durable before anything is done because of it.
use super::RolloutError;
use foremesh_core::{
    ids::{PlanId, RolloutId, ServiceId},
    rollout::{AbortRequest, RolloutRecord},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Each entry brings the tables from the version of its place to the next; never edited once released.
///
/// `record` is the whole record as JSON; the other columns are copies for people with `sqlite3` and for look-ups. Those
/// of version 2 are computed from the record, so that they cannot differ from it.
const MIGRATIONS: [&str; 2] = [
    "
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
    ",
    "
    ALTER TABLE rollouts ADD COLUMN service TEXT AS (json_extract(record, '$.move.service')) VIRTUAL;
    ALTER TABLE rollouts ADD COLUMN settled INTEGER
        AS (is_over AND reported >= json_array_length(record, '$.history')) VIRTUAL;
    CREATE INDEX rollouts_service ON rollouts (service, number);
    CREATE INDEX rollouts_going ON rollouts (number) WHERE NOT is_over;
    CREATE INDEX rollouts_unsettled ON rollouts (number) WHERE NOT settled;
    CREATE INDEX rollouts_state ON rollouts (state);
    ",
];

/// Version of the tables, in `PRAGMA user_version`.
const SCHEMA: i64 = MIGRATIONS.len() as i64;

const UNSETTLED: &str = "WHERE NOT settled ORDER BY number";
/// Two searches and not one condition: no index answers an OR of a partial and a whole one.
const SINCE: &str = "WHERE number IN (SELECT number FROM rollouts WHERE NOT is_over
    UNION ALL SELECT number FROM rollouts WHERE entered_at_ms >= ?1) ORDER BY number";
const OF_SERVICE: &str = "WHERE service = ?1 AND (NOT is_over OR entered_at_ms >= ?2) ORDER BY number";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The journal; clones share one connection.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: PathBuf,
    open: Arc<Mutex<Open>>,
}

/// The connection, and what every pass of the loop asks for.
#[derive(Debug)]
struct Open {
    connection: Connection,
    recent: Option<Recent>,
}

/// Records in memory, read once and written through: a pass needs those of a week, and each is parsed from JSON.
#[derive(Debug)]
struct Recent {
    /// All that are not over or entered their last state since then are here.
    since: Timestamp,
    held: BTreeMap<i64, RolloutRecord>,
}

impl Open {
    /// Notes a record that was written.
    fn wrote(&mut self, number: i64, record: &RolloutRecord) {
        if let Some(recent) = &mut self.recent {
            recent.held.insert(number, record.clone());
        }
    }
}

/// Which rollouts to list; the newest first.
#[derive(Clone, Debug, Default)]
pub struct RolloutQuery {
    /// Only those of this service.
    pub service: Option<ServiceId>,
    /// Only those that are older than this one.
    pub before: Option<RolloutId>,
    /// At most so many.
    pub limit: u32,
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
        if found < SCHEMA {
            let transaction = connection.transaction().map_err(failed)?;
            for script in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
                transaction.execute_batch(script).map_err(failed)?;
            }
            transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
            transaction.commit().map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), open: Arc::new(Mutex::new(Open { connection, recent: None })) })
    }

    /// Stores new rollouts and the generation of their plan, all or none.
    pub(super) async fn accept(
        &self,
        records: Vec<RolloutRecord>,
        generation: u64,
    ) -> Result<(), RolloutError> {
        self.with("write", move |open| {
            let transaction = open.connection.transaction()?;
            let mut numbers = Vec::with_capacity(records.len());
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
                numbers.push(transaction.last_insert_rowid());
            }
            transaction.execute(
                "INSERT INTO newest (one, generation) VALUES (1, ?1)
                 ON CONFLICT (one) DO UPDATE SET generation = excluded.generation",
                [i64::try_from(generation)?],
            )?;
            transaction.commit()?;
            numbers.into_iter().zip(&records).for_each(|(number, record)| open.wrote(number, record));
            Ok(())
        })
        .await
    }

    /// Stores a record that is there already.
    pub(super) async fn save(&self, record: &RolloutRecord) -> Result<(), RolloutError> {
        let record = record.clone();
        self.with("write", move |open| {
            let number: Option<i64> = open
                .connection
                .query_row(
                    "UPDATE rollouts SET state = ?2, is_over = ?3, entered_at_ms = ?4, record = ?5 WHERE id = ?1
                     RETURNING number",
                    params![
                        record.id.as_str(),
                        record.state.to_string(),
                        record.state.is_last(),
                        record.entered_at.unix_ms(),
                        serde_json::to_string(&record)?
                    ],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(number) = number {
                open.wrote(number, &record);
            }
            Ok(())
        })
        .await
    }

    /// Notes how many changes of state the audit has.
    pub(super) async fn save_reported(&self, id: &RolloutId, reported: usize) -> Result<(), RolloutError> {
        let id = id.clone();
        self.with("write", move |open| {
            let reported = i64::try_from(reported)?;
            open.connection
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
        self.with("write", move |open| {
            open.connection.execute(
                "INSERT OR IGNORE INTO aborts (rollout, request) VALUES (?1, ?2)",
                params![id.as_str(), serde_json::to_string(&request)?],
            )?;
            Ok(())
        })
        .await
    }

    pub(super) async fn abort(&self, id: &RolloutId) -> Result<Option<AbortRequest>, RolloutError> {
        let id = id.clone();
        self.with("read", move |open| {
            let text: Option<String> = open
                .connection
                .query_row("SELECT request FROM aborts WHERE rollout = ?1", [id.as_str()], |row| row.get(0))
                .optional()?;
            Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
        })
        .await
    }

    /// Rollouts that are not over, or whose end the audit does not have yet; oldest first.
    pub(super) async fn unfinished(&self) -> Result<Vec<Entry>, RolloutError> {
        self.with("read", |open| select(&open.connection, UNSETTLED, &[], |row| Ok(entry(row)?.1))).await
    }

    /// Rollouts that changed their state since then or are not over; oldest first.
    pub(super) async fn since(&self, since: Timestamp) -> Result<Vec<RolloutRecord>, RolloutError> {
        self.with("read", move |open| {
            let Open { connection, recent } = open;
            let recent = match recent {
                Some(recent) if recent.since <= since => recent,
                _ => {
                    let read = |row: &Row<'_>| entry(row).map(|(number, entry)| (number, entry.record));
                    let held = select(connection, SINCE, &[&since.unix_ms()], read)?;
                    recent.insert(Recent { since, held: held.into_iter().collect() })
                }
            };
            recent.since = since;
            recent.held.retain(|_, record| !record.state.is_last() || record.entered_at >= since);
            Ok(recent.held.values().cloned().collect())
        })
        .await
    }

    /// Rollouts of one service that changed their state since then or are not over; oldest first.
    pub(super) async fn for_service(
        &self,
        service: &ServiceId,
        since: Timestamp,
    ) -> Result<Vec<RolloutRecord>, RolloutError> {
        let service = service.clone();
        self.with("read", move |open| {
            select(&open.connection, OF_SERVICE, &[&service.as_str(), &since.unix_ms()], record)
        })
        .await
    }

    /// A page of all rollouts, the newest first.
    pub(super) async fn page(&self, query: RolloutQuery) -> Result<Vec<RolloutRecord>, RolloutError> {
        self.with("read", move |open| {
            // One that does not exist has nothing before it.
            let before = "(?1 IS NULL OR number < (SELECT number FROM rollouts WHERE id = ?1))";
            let id = query.before.as_ref().map(RolloutId::as_str);
            match &query.service {
                None => {
                    let filter = format!("WHERE {before} ORDER BY number DESC LIMIT ?2");
                    select(&open.connection, &filter, &[&id, &query.limit], record)
                }
                Some(service) => {
                    let filter = format!("WHERE {before} AND service = ?3 ORDER BY number DESC LIMIT ?2");
                    select(&open.connection, &filter, &[&id, &query.limit, &service.as_str()], record)
                }
            }
        })
        .await
    }

    /// Rollouts by their state as text.
    pub(super) async fn counts(&self) -> Result<Vec<(String, u64)>, RolloutError> {
        self.with("read", |open| {
            let mut select =
                open.connection.prepare_cached("SELECT state, count(*) FROM rollouts GROUP BY state")?;
            let rows = select
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.max(0).cast_unsigned())))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Deletes rollouts that were over before then and are in the audit, the oldest first and at most `limit`; gives how
    /// many.
    pub(super) async fn forget(&self, before: Timestamp, limit: u32) -> Result<usize, RolloutError> {
        self.with("write", move |open| {
            let transaction = open.connection.transaction()?;
            let chosen = "(SELECT number FROM rollouts WHERE settled AND entered_at_ms < ?1 ORDER BY entered_at_ms LIMIT ?2)";
            let arguments = params![before.unix_ms(), limit];
            transaction.execute(
                &format!(
                    "DELETE FROM aborts WHERE rollout IN (SELECT id FROM rollouts WHERE number IN {chosen})"
                ),
                arguments,
            )?;
            let deleted =
                transaction.execute(&format!("DELETE FROM rollouts WHERE number IN {chosen}"), arguments)?;
            transaction.commit()?;
            if let Some(recent) = &mut open.recent {
                recent.held.retain(|_, record| !record.state.is_last() || record.entered_at >= before);
                recent.since = recent.since.max(before);
            }
            Ok(deleted)
        })
        .await
    }

    pub(super) async fn get(&self, id: &RolloutId) -> Result<Option<Entry>, RolloutError> {
        let id = id.clone();
        self.with("read", move |open| {
            let found = select(&open.connection, "WHERE id = ?1", &[&id.as_str()], |row| Ok(entry(row)?.1))?;
            Ok(found.into_iter().next())
        })
        .await
    }

    /// Those whose rollout is here.
    pub(super) async fn known(
        &self,
        rollouts: Vec<(PlanId, RolloutId)>,
    ) -> Result<BTreeMap<PlanId, RolloutId>, RolloutError> {
        self.with("read", move |open| {
            let mut select = open.connection.prepare_cached("SELECT 1 FROM rollouts WHERE id = ?1")?;
            let mut known = BTreeMap::new();
            for (plan, rollout) in rollouts {
                if select.exists([rollout.as_str()])? {
                    known.insert(plan, rollout);
                }
            }
            Ok(known)
        })
        .await
    }

    /// The newest generation that was ever accepted, 0 when there was none.
    pub(super) async fn newest_generation(&self) -> Result<u64, RolloutError> {
        self.with("read", |open| {
            let query = "SELECT generation FROM newest";
            let newest: Option<i64> = open.connection.query_row(query, [], |row| row.get(0)).optional()?;
            Ok(newest.map_or(0, i64::cast_unsigned))
        })
        .await
    }

    /// Runs a piece of SQL where it may block.
    async fn with<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Open) -> Result<T, AnyError> + Send + 'static,
    ) -> Result<T, RolloutError> {
        let failed = |source| RolloutError::Journal { action, path: self.path.clone(), source };
        let open = Arc::clone(&self.open);
        let ran = tokio::task::spawn_blocking(move || {
            // A panic while the lock was held rolled its transaction back; the connection is still good.
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut open)
        });
        ran.await.map_err(|error| failed(Box::new(error)))?.map_err(failed)
    }
}

fn select<T>(
    connection: &Connection,
    filter: &str,
    arguments: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> Result<T, AnyError>,
) -> Result<Vec<T>, AnyError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT record, reported, number FROM rollouts {filter}"))?;
    let mut rows = statement.query(arguments)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<RolloutRecord, AnyError> {
    Ok(entry(row)?.1.record)
}

/// A record with its number, which counts up in the order of acceptance.
fn entry(row: &Row<'_>) -> Result<(i64, Entry), AnyError> {
    let text: String = row.get(0)?;
    let reported: i64 = row.get(1)?;
    let entry = Entry { record: serde_json::from_str(&text)?, reported: usize::try_from(reported)? };
    Ok((row.get(2)?, entry))
}

#[cfg(test)]
mod tests;
