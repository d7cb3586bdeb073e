//! Files that are whole after any crash: written beside, flushed, then renamed into place.
use crate::platform::PlatformError;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Replaces a file. Readers see the old content or the new one, never a part; when this returns, a power cut does not
/// bring the old one back.
pub(crate) async fn replace(path: PathBuf, content: Vec<u8>) -> Result<(), PlatformError> {
    let failed = |source| PlatformError::File { action: "write", path: path.clone(), source };
    let target = path.clone();
    tokio::task::spawn_blocking(move || replace_now(&target, &content))
        .await
        .map_err(|error| failed(io::Error::other(error)))?
        .map_err(failed)
}

/// [`replace`] on this thread, which it blocks.
pub(crate) fn replace_now(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
    // One fixed name in the same directory: a crash leaves at most one such file, and the next write takes it over.
    let beside = directory.join(format!(".{}.tmp", name.to_string_lossy()));
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

/// Reads a file, or nothing when there is none.
pub(crate) async fn read(path: &Path) -> Result<Option<Vec<u8>>, PlatformError> {
    match tokio::fs::read(path).await {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PlatformError::File { action: "read", path: path.to_owned(), source }),
    }
}
