//! An SQLite file of the state directory with a schema version, for what must outlive the process and changes seldom.
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// One file; clones share one connection.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

/// Why a file of the state directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The database refused.
    #[error("state file `{path}` cannot be {action}; check that the disk has room and the file is writable")]
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
        "state file `{path}` has schema version {found}, but this planner knows {known} at most; run the planner that \
         wrote it, or point `stateDirectory` elsewhere"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version that this planner knows.
        known: usize,
    },
    /// The work on the file took a panic with it.
    #[error("the work on state file `{path}` ended in a fault of the planner")]
    Fault {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl StateFile {
    /// Opens a file, making it when it is missing. `migrations[n]` leads from version `n` to `n + 1`; each is applied
    /// whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be opened or migrated, or was written by a newer planner.
    pub(crate) fn open(path: &Path, migrations: &[&str]) -> Result<Self, StateFileError> {
        let failed =
            |action| move |source| StateFileError::Database { path: path.to_owned(), action, source };
        let mut connection = Connection::open(path).map_err(failed("opened"))?;
        // FULL: a commit is on disk when it returns, also after a power cut. These files are written seldom.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
                 PRAGMA foreign_keys = ON;",
            )
            .map_err(failed("opened"))?;
        let found: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("opened"))?;
        let found = usize::try_from(found).unwrap_or(usize::MAX);
        let Some(missing) = migrations.get(found..) else {
            return Err(StateFileError::Newer { path: path.to_owned(), found, known: migrations.len() });
        };
        for (at, migration) in missing.iter().enumerate() {
            let version = i64::try_from(found + at + 1).unwrap_or(i64::MAX);
            let mut migrate = || {
                let transaction = connection.transaction()?;
                transaction.execute_batch(migration)?;
                transaction.pragma_update(None, "user_version", version)?;
                transaction.commit()
            };
            migrate().map_err(failed("migrated"))?;
        }
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)) })
    }

    /// Does `work` on this thread, in one transaction: all of it is durable when this returns, or nothing is.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) fn now<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateFileError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let transaction = connection.transaction()?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|source| StateFileError::Database { path: self.path.clone(), action, source })
    }

    /// The same as [`StateFile::now`] on a thread that may block.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateFileError> {
        let file = self.clone();
        tokio::task::spawn_blocking(move || file.now(action, work))
            .await
            .map_err(|source| StateFileError::Fault { path: self.path.clone(), source })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_up_one_by_one_and_a_newer_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some.db");
        let first = ["CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);"];
        let both = [first[0], "CREATE TABLE b AS SELECT x + 1 AS y FROM a;"];
        drop(StateFile::open(&path, &first).unwrap());
        let file = StateFile::open(&path, &both).unwrap();
        let y: i64 = file.now("read", |t| t.query_row("SELECT y FROM b", [], |row| row.get(0))).unwrap();
        assert_eq!(y, 8, "the second migration saw what the first had made");
        drop(file);
        let text = StateFile::open(&path, &first).unwrap_err().to_string();
        assert!(text.contains("some.db` has schema version 2, but this planner knows 1 at most"), "{text}");
    }

    #[test]
    fn work_that_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file =
            StateFile::open(&directory.path().join("some.db"), &["CREATE TABLE a (x INTEGER);"]).unwrap();
        let failed = file.now("written", |t| {
            t.execute("INSERT INTO a VALUES (1)", [])?;
            t.execute("INSERT INTO nowhere VALUES (1)", [])
        });
        assert!(failed.is_err());
        let count: i64 =
            file.now("read", |t| t.query_row("SELECT count(*) FROM a", [], |row| row.get(0))).unwrap();
        assert_eq!(count, 0);
    }
}
