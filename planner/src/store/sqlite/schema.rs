//! The tables, and how an older file becomes a newer one.
use super::super::{Levels, StoreError};
use rusqlite::Connection;
use std::path::Path;

/// Each entry brings the schema from the version of its place to the next; never edited once released.
const MIGRATIONS: [&str; 3] =
    [include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// Newest version that this planner knows.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Migrates the file to the newest version, in one transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let failed =
        |source| StoreError::Migrate { path: path.to_owned(), from: found, to: SCHEMA_VERSION, source };
    let transaction = connection.transaction().map_err(failed)?;
    for script in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(script).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Compares the steps of the settings with those in the file, and notes the retention.
pub(super) fn check_levels(connection: &Connection, path: &Path, levels: &Levels) -> Result<(), StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    for (level, wanted) in levels.iter() {
        let found_ms: Option<i64> = connection
            .query_row(
                "SELECT step_ms FROM levels WHERE level = ?1 AND (EXISTS (SELECT 1 FROM steps WHERE level = ?1)
                 OR EXISTS (SELECT 1 FROM gauges WHERE level = ?1))",
                [level],
                |row| row.get(0),
            )
            .map(Some)
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(None),
                other => Err(open(other)),
            })?;
        if let Some(found_ms) = found_ms.filter(|found| *found != wanted.step.ms()) {
            return Err(StoreError::StepsDiffer {
                path: path.to_owned(),
                level,
                found_ms,
                wanted_ms: wanted.step.ms(),
            });
        }
        connection
            .execute(
                "INSERT OR REPLACE INTO levels (level, step_ms, retention_ms) VALUES (?1, ?2, ?3)",
                (level, wanted.step.ms(), wanted.retention_ms),
            )
            .map_err(open)?;
    }
    Ok(())
}
