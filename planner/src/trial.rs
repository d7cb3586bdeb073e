//! The load of a trial: the same requests to both copies, at times that do not depend on the answers.
mod load;
#[cfg(test)]
mod tests;

pub use load::{Ends, LoadError, load};

use crate::platform::PlatformError;
use foremesh_core::trial::{TrialOrder, TrialSamples};

/// The load of a platform's trial, with a note on how the requests reached the copies.
///
/// # Errors
/// When nothing could be sent. What the copies do is no error.
pub async fn sent(ends: &Ends, order: &TrialOrder, note: &str) -> Result<TrialSamples, PlatformError> {
    let mut samples = load(ends, order).await.map_err(|error| PlatformError::Refused {
        object: format!("trial of `{}`", order.workload),
        problem: error.to_string(),
        remedy: "see `trial.requests` of the policy".to_owned(),
    })?;
    samples.notes.push(note.to_owned());
    Ok(samples)
}
