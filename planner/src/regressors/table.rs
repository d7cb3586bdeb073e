//! `regressors.db`: every pushed point, durable before it is acknowledged.
use super::{Pushed, points::Push};
use crate::state_file::{StateFile, StateFileError};
use foremesh_core::{calendar::Scope, time::Timestamp};
use rusqlite::{OptionalExtension as _, params};
use std::{collections::BTreeMap, path::Path};

const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE regressors (
        name TEXT PRIMARY KEY,
        unit TEXT,
        hold_ms INTEGER,
        scope TEXT CHECK (scope IS NULL OR json_valid(scope)),
        pushed_at_ms INTEGER NOT NULL
    );
    CREATE TABLE points (
        regressor TEXT NOT NULL REFERENCES regressors (name) ON DELETE CASCADE,
        at_ms INTEGER NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (regressor, at_ms)
    ) WITHOUT ROWID;
"];

/// The table of pushed points; clones share one connection.
#[derive(Clone, Debug)]
pub(super) struct Table(StateFile);

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, StateFileError> {
        StateFile::open(path, &MIGRATIONS).map(Self)
    }

    /// Everything that was pushed, by name.
    pub(super) fn read(&self) -> Result<BTreeMap<String, Pushed>, StateFileError> {
        self.0.now("read", |transaction| {
            let mut found = BTreeMap::new();
            let mut regressors =
                transaction.prepare("SELECT name, unit, hold_ms, scope, pushed_at_ms FROM regressors")?;
            let mut rows = regressors.query([])?;
            while let Some(row) = rows.next()? {
                let scope: Option<String> = row.get(3)?;
                let pushed = Pushed {
                    unit: row.get(1)?,
                    hold_ms: row.get(2)?,
                    scope: scope.and_then(|scope| serde_json::from_str::<Scope>(&scope).ok()),
                    at: Timestamp::from_unix_ms(row.get(4)?),
                    points: BTreeMap::new(),
                };
                found.insert(row.get(0)?, pushed);
            }
            let mut points = transaction.prepare("SELECT regressor, at_ms, value FROM points")?;
            let mut rows = points.query([])?;
            while let Some(row) = rows.next()? {
                if let Some(pushed) = found.get_mut(&row.get::<_, String>(0)?) {
                    pushed.points.insert(Timestamp::from_unix_ms(row.get(1)?), row.get(2)?);
                }
            }
            Ok(found)
        })
    }

    /// Stores a push; the oldest points beyond `keep` go.
    pub(super) async fn write(
        &self,
        name: &str,
        push: Push,
        at: Timestamp,
        keep: usize,
    ) -> Result<(), StateFileError> {
        let name = name.to_owned();
        self.0
            .with("written", move |transaction| {
                let scope = push.scope.as_ref().and_then(|scope| serde_json::to_string(scope).ok());
                let hold_ms = push.hold.map(crate::settings::Span::ms);
                // What a later push does not say stays as it was said before.
                transaction.execute(
                    "INSERT INTO regressors (name, unit, hold_ms, scope, pushed_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (name) DO UPDATE SET unit = coalesce(excluded.unit, unit),
                         hold_ms = coalesce(excluded.hold_ms, hold_ms), scope = coalesce(excluded.scope, scope),
                         pushed_at_ms = excluded.pushed_at_ms",
                    params![name, push.unit, hold_ms, scope, at.unix_ms()],
                )?;
                let mut insert = transaction.prepare(
                    "INSERT INTO points (regressor, at_ms, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (regressor, at_ms) DO UPDATE SET value = excluded.value",
                )?;
                for (at, value) in &push.points {
                    insert.execute(params![name, at.unix_ms(), value])?;
                }
                let oldest_kept: Option<i64> = transaction
                    .query_row(
                        "SELECT at_ms FROM points WHERE regressor = ?1 ORDER BY at_ms DESC LIMIT 1 OFFSET ?2",
                        params![name, i64::try_from(keep).unwrap_or(i64::MAX).saturating_sub(1)],
                        |row| row.get(0),
                    )
                    .optional()?;
                if let Some(oldest_kept) = oldest_kept {
                    transaction.execute(
                        "DELETE FROM points WHERE regressor = ?1 AND at_ms < ?2",
                        params![name, oldest_kept],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Removes a regressor with its points.
    pub(super) async fn remove(&self, name: &str) -> Result<(), StateFileError> {
        let name = name.to_owned();
        self.0
            .with("written", move |transaction| {
                transaction.execute("DELETE FROM regressors WHERE name = ?1", [name]).map(drop)
            })
            .await
    }
}
