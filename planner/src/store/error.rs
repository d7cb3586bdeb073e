//! Why the store could not do what it was asked.
use std::{io, path::PathBuf};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened.
    #[error("cannot open the store `{}`; check that its folder exists and can be written", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// The lock file could not be made.
    #[error("cannot lock the store with `{}`; check that its folder exists and can be written", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error(
        "the store `{}` is in use by another process; stop that one, or give this one its own file",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer planner.
    #[error(
        "the store `{}` has schema version {found}, but this planner knows versions up to {known}; run the planner that wrote it or a newer one, or start with another file",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Newest version that this planner knows.
        known: u32,
    },
    /// A migration failed; the file is as it was.
    #[error("cannot bring the store `{}` from schema version {from} to {to}; the file was not changed", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        from: u32,
        /// Version wanted.
        to: u32,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// Steps of another length are in the file.
    #[error(
        "level {level} of the store `{}` has steps of {found_ms} ms, but the settings ask for {wanted_ms} ms; set the step back, or start with another file",
        path.display()
    )]
    StepsDiffer {
        /// The file.
        path: PathBuf,
        /// Which level.
        level: u8,
        /// Step in the file.
        found_ms: i64,
        /// Step in the settings.
        wanted_ms: i64,
    },
    /// Roll-ups must be made of whole base steps.
    #[error(
        "step {wanted_ms} ms of level {level} must be a whole multiple of the {below_ms} ms of the level below"
    )]
    Levels {
        /// Which level.
        level: u8,
        /// Step in the settings.
        wanted_ms: i64,
        /// Step of the level below.
        below_ms: i64,
    },
    /// A write did not become durable.
    #[error("cannot {action} in the store; check free space and health of its disk")]
    Write {
        /// What was tried.
        action: &'static str,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// The commit failed for the batch that held this summary, which is not durable.
    #[error("cannot make the summary durable: {reason}; send it again later")]
    NotDurable {
        /// The failure, as text, because it is shared by all summaries of the batch.
        reason: String,
    },
    /// A read failed.
    #[error("cannot read {what} from the store")]
    Read {
        /// What was read.
        what: &'static str,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// A range with too many steps.
    #[error(
        "the range holds more than the limit of {limit} steps; ask for less time, fewer series or a coarser level"
    )]
    TooWide {
        /// Steps that one read gives at most.
        limit: usize,
    },
    /// Bytes in the file are not what was written.
    #[error(
        "the store holds {what} that cannot be read: {reason}; restore the file from a backup, or start with another"
    )]
    Corrupt {
        /// What.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// More is waiting than the limit allows.
    #[error(
        "{waiting} bytes of summaries wait to become durable, and the limit is {limit}; send again later"
    )]
    Full {
        /// Bytes that wait.
        waiting: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// So far behind its stream that a duplicate cannot be told from a loss.
    #[error(
        "sequence {sequence} is below {floor}, and the stream had too many gaps to remember which summaries below that were received"
    )]
    Forgotten {
        /// Sequence of the summary.
        sequence: u64,
        /// Everything up to here is not told apart any more.
        floor: u64,
    },
    /// The writer has ended.
    #[error("the store is closed")]
    Closed,
    /// The writer thread could not be started.
    #[error("cannot start a thread for the store")]
    Thread(#[source] io::Error),
}
