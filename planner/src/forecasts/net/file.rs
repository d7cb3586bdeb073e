//! The file that a net outlives a restart in. It is only ever a net that can be trained again, so one that cannot be used
//! is passed over.
use crate::{causes::chain, durable::replace_now};
use foremesh_core::time::Timestamp;
use foremesh_models::Network;
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

/// Number of the file's own format; the net in it has one too.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Header {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    trained_at: Timestamp,
    network: Network,
}

/// Why a kept net is not used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error("the file is not a net that this planner understands")]
    Parse(#[from] serde_json::Error),
    #[error("the file has format {0}, but this planner knows {FORMAT}")]
    Format(u32),
}

/// Keeps a net; it is durable when this returns.
pub(super) fn write(path: &Path, network: &Network, trained_at: Timestamp) -> io::Result<()> {
    let kept = Kept { format: FORMAT, trained_at, network: network.clone() };
    replace_now(path, &serde_json::to_vec(&kept)?)
}

/// The kept net and when it was trained; nothing, with a warning, when the file cannot be used.
pub(super) fn read(path: &Path) -> Option<(Network, Timestamp)> {
    match try_read(path) {
        Ok(kept) => kept,
        Err(error) => {
            let why = chain(&error);
            tracing::warn!(file = %path.display(), why, "the kept net is passed over and will be trained anew");
            None
        }
    }
}

fn try_read(path: &Path) -> Result<Option<(Network, Timestamp)>, FileError> {
    let content = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content?,
    };
    // A newer format may have other fields.
    let Header { format } = serde_json::from_slice(&content)?;
    if format != FORMAT {
        return Err(FileError::Format(format));
    }
    let kept: Kept = serde_json::from_slice(&content)?;
    Ok(Some((kept.network, kept.trained_at)))
}
