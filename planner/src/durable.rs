//! Files that are whole after any crash: written beside, flushed, then renamed into place.
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Replaces a file. Readers see the old content or the new one, never a part; when this returns, a power cut does not
/// bring the old one back. Blocks.
///
/// # Errors
/// When the folder cannot be made or written to.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
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
