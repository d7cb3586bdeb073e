//! The platform's own files, read and replaced as wholes.
use crate::{durable, platform::PlatformError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Replaces a file; see [`durable::replace`].
pub(super) async fn replace(path: PathBuf, content: Vec<u8>) -> Result<(), PlatformError> {
    let failed = |source| PlatformError::File { action: "write", path: path.clone(), source };
    let target = path.clone();
    tokio::task::spawn_blocking(move || durable::replace(&target, &content))
        .await
        .map_err(|error| failed(io::Error::other(error)))?
        .map_err(failed)
}

/// Reads a file, or nothing when there is none.
pub(super) async fn read(path: &Path) -> Result<Option<Vec<u8>>, PlatformError> {
    match tokio::fs::read(path).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PlatformError::File { action: "read", path: path.to_owned(), source }),
    }
}
