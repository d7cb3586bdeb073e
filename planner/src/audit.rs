//! The audit trail: one record for each decision, in an append-only table.
//!
//! Append-only is enforced by the database itself: triggers refuse updates and deletes, so that neither a later
//! version of the planner nor a person with `sqlite3` changes the past by accident. What is over its retention may be
//! deleted, and nothing younger: the limits are a row of the same file, which says how far the trail goes back.
mod records;
mod retention;

pub use records::{RecordError, pack, unpack};
pub use retention::AuditRetention;

use crate::rollout::{ReportError, Reporter};
use async_trait::async_trait;
use foremesh_core::{rollout::RolloutRecord, time::Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Each entry brings the tables from the version of its place to the next; never edited once released.
const MIGRATIONS: [&str; 3] = [
    "
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    plan TEXT,
    record TEXT NOT NULL CHECK (json_valid(record))
);
CREATE INDEX audit_by_plan ON audit (plan) WHERE plan IS NOT NULL;
CREATE INDEX audit_by_kind ON audit (kind, id);
CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    ",
    retention::SCHEMA,
    records::SCHEMA,
];

/// The audit trail in one SQLite file.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// Why the audit trail could not be opened, written or read. Nothing is decided without it.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database refused.
    #[error("audit trail `{path}` cannot be {action}; check that the disk has room and the file is writable")]
    Database {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a newer planner.
    #[error(
        "audit trail `{path}` has schema version {found}, but this planner knows {SCHEMA_VERSION} at most; \
         run the planner that wrote it, or point `stateDirectory` elsewhere"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One pass of the control loop and what it decided, also when that was nothing.
    Decision,
    /// A plan that was made and is carried out.
    Plan,
    /// A plan that a policy in mode `recommend` would carry out, or one that waits for a human; each once.
    Recommendation,
    /// A rollout changed its state.
    Rollout,
    /// The planner started or stopped, a person intervened, or a proxy fell silent.
    Event,
}

impl Kind {
    /// As text, in the table and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Plan => "plan",
            Self::Recommendation => "recommendation",
            Self::Rollout => "rollout",
            Self::Event => "event",
        }
    }
}

/// A record as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Counts up without reuse.
    pub id: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it is about.
    pub kind: String,
    /// The plan that it belongs to.
    pub plan: Option<String>,
    /// The record itself.
    pub record: Value,
}

impl Audit {
    /// Opens the trail, making the file when it is missing.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer planner.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let fail = |action| move |source| AuditError::Database { path: path.to_owned(), action, source };
        let connection = Connection::open(path).map_err(fail("opened"))?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;",
            )
            .map_err(fail("opened"))?;
        let found: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail("opened"))?;
        if found > SCHEMA_VERSION {
            return Err(AuditError::Newer { path: path.to_owned(), found });
        }
        if found < SCHEMA_VERSION {
            let missing = MIGRATIONS.get(usize::try_from(found).unwrap_or(0)..).unwrap_or_default().concat();
            connection
                .execute_batch(&format!("BEGIN; {missing} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))
                .map_err(fail(if found == 0 { "created" } else { "brought up to date" }))?;
        }
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// Writes one record; it is durable when this returns.
    ///
    /// # Errors
    /// When the database refuses: the caller must not act on a decision that is not on record.
    pub fn append(
        &self,
        at: Timestamp,
        kind: Kind,
        plan: Option<&str>,
        record: &Value,
    ) -> Result<i64, AuditError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .prepare_cached("INSERT INTO audit (at_ms, kind, plan, record) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| {
                insert.execute(params![at.unix_ms(), kind.name(), plan, record.to_string()])
            })
            .map_err(|source| AuditError::Database { path: self.path.clone(), action: "written", source })?;
        Ok(connection.last_insert_rowid())
    }

    /// Writes a change of state unless it is on record already: a planner that was killed between the record and its
    /// note of it reports it again.
    fn append_once(
        &self,
        at: Timestamp,
        rollout: &RolloutRecord,
        transition: usize,
        record: &Value,
    ) -> Result<(), AuditError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let (plan, relocation) = (rollout.plan.as_str(), rollout.id.as_str());
        let transition = i64::try_from(transition).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "INSERT INTO audit (at_ms, kind, plan, record) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (
                     SELECT 1 FROM audit WHERE plan = ?3 AND kind = ?2
                     AND json_extract(record, '$.relocation') = ?5 AND json_extract(record, '$.transition') = ?6)",
            )
            .and_then(|mut insert| {
                let text = record.to_string();
                insert.execute(params![at.unix_ms(), Kind::Rollout.name(), plan, text, relocation, transition])
            })
            .map(drop)
            .map_err(|source| AuditError::Database { path: self.path.clone(), action: "written", source })
    }

    /// The newest records of one kind (or of all), newest first, older than `before` when given.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn newest(
        &self,
        kind: Option<Kind>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Entry>, AuditError> {
        self.select(
            "SELECT id, at_ms, kind, plan, record FROM audit
             WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
            params![kind.map(Kind::name), before, limit],
        )
    }

    /// Everything about one plan, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn of_plan(&self, plan: &str) -> Result<Vec<Entry>, AuditError> {
        self.select(
            "SELECT id, at_ms, kind, plan, record FROM audit WHERE plan = ?1 ORDER BY id",
            params![plan],
        )
    }

    /// The newest plan and its generation, so that a restarted planner counts on from there.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn last_generation(&self) -> Result<Option<(String, u64)>, AuditError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .query_row(
                "SELECT plan, json_extract(record, '$.generation') FROM audit
                 WHERE kind = 'plan' ORDER BY id DESC LIMIT 1",
                [],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.cast_unsigned())),
            )
            .optional()
            .map_err(|source| AuditError::Database { path: self.path.clone(), action: "read", source })
    }

    fn select(&self, sql: &str, arguments: impl rusqlite::Params) -> Result<Vec<Entry>, AuditError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || -> rusqlite::Result<Vec<Entry>> {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(arguments, |row| {
                let text: String = row.get(4)?;
                Ok(Entry {
                    id: row.get(0)?,
                    at: Timestamp::from_unix_ms(row.get(1)?),
                    kind: row.get(2)?,
                    plan: row.get(3)?,
                    record: serde_json::from_str(&text).unwrap_or(Value::String(text)),
                })
            })?;
            rows.collect()
        };
        read().map_err(|source| AuditError::Database { path: self.path.clone(), action: "read", source })
    }
}

#[async_trait]
impl Reporter for Audit {
    async fn report(&self, record: &RolloutRecord, transition: usize) -> Result<(), ReportError> {
        let Some(change) = record.history.get(transition) else { return Ok(()) };
        let mut entry = json!({
            "relocation": record.id,
            "transition": transition,
            "from": change.from.to_string(),
            "to": change.to.to_string(),
            "why": change.why,
            "move": record.relocation,
            "trial": record.trial,
        });
        if let Some(approval) = &record.approval {
            entry["approval"] = json!(approval);
        }
        self.append_once(change.at, record, transition, &entry).map_err(|error| ReportError(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_cannot_be_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let audit = Audit::open(&path).unwrap();
        let at = Timestamp::from_unix_ms(5);
        audit.append(at, Kind::Plan, Some("plan-1"), &json!({"generation": 7})).unwrap();
        audit.append(at, Kind::Decision, None, &json!({"nothing": "because"})).unwrap();
        drop(audit);

        let other = Connection::open(&path).unwrap();
        for change in ["UPDATE audit SET record = '{}'", "DELETE FROM audit"] {
            assert!(other.execute(change, []).unwrap_err().to_string().contains("append-only"), "{change}");
        }
        let again = Audit::open(&path).unwrap();
        assert_eq!(again.last_generation().unwrap(), Some(("plan-1".to_owned(), 7)));
        let entries = again.newest(None, None, 10).unwrap();
        assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(again.newest(Some(Kind::Decision), None, 10).unwrap().len(), 1);
        assert_eq!(again.of_plan("plan-1").unwrap()[0].record["generation"], 7);
    }

    /// The planner was killed after the record and before its note of it, so the same change is reported again.
    #[tokio::test]
    async fn a_change_of_state_that_is_reported_again_is_on_record_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let record = |rollout: &str, changes: usize| -> RolloutRecord {
            let change =
                json!({"at": 5, "from": {"name": "pending"}, "to": {"name": "trial"}, "why": "it holds"});
            serde_json::from_value(json!({
                "id": rollout, "plan": "plan-1", "generation": 1, "after": null,
                "move": {
                    "workload": "shop", "service": "shop", "replica": "shop@a", "from": "a", "to": "b",
                    "reason": {
                        "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                        "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value",
                        "lead_ms": 5,
                    },
                    "ramp_percent": [50, 100],
                },
                "trial": {"trial": "waived", "by": "ops", "reason": "no staging mesh", "at": 5},
                "prediction": null, "target": null, "state": {"name": "trial"}, "entered_at": 5, "deadline": 9,
                "attempt": 0, "history": vec![change; changes],
            }))
            .unwrap()
        };
        for _ in 0..2 {
            let audit = Audit::open(&path).unwrap();
            audit.report(&record("plan-1.0", 2), 0).await.unwrap();
        }
        let audit = Audit::open(&path).unwrap();
        audit.report(&record("plan-1.0", 2), 1).await.unwrap();
        audit.report(&record("plan-1.1", 2), 0).await.unwrap();
        let entries = audit.of_plan("plan-1").unwrap();
        let told: Vec<_> = entries
            .iter()
            .map(|e| (e.record["relocation"].as_str().unwrap(), e.record["transition"].as_u64()))
            .collect();
        assert_eq!(told, [("plan-1.0", Some(0)), ("plan-1.0", Some(1)), ("plan-1.1", Some(0))]);
    }

    #[test]
    fn a_newer_trail_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
        let text = Audit::open(&path).unwrap_err().to_string();
        assert!(text.contains("audit.db` has schema version 9, but this planner knows 3 at most"), "{text}");
    }
}
