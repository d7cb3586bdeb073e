//! Files that one process has to itself.
use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

/// Why a lock was not given.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process has it.
    Held,
    /// The file cannot be made or locked.
    Failed(io::Error),
}

/// Locks a file for this process, making it when it is missing; the system gives the lock back however the process ends.
pub(crate) fn lock(path: &Path) -> Result<File, LockError> {
    let file = File::options().create(true).append(true).open(path).map_err(LockError::Failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LockError::Held),
        Err(TryLockError::Error(source)) => Err(LockError::Failed(source)),
    }
}
