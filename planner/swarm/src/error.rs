//! What could not be learnt of a Swarm, or done in it.

/// Names the object, what is wrong with it, and what a human can do; [`Self::why`] tells kinds of reasons apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {problem}; {remedy}")]
pub struct SwarmError {
    /// Which kind of reason it is.
    pub why: Why,
    /// What it is about.
    pub object: String,
    /// What is wrong.
    pub problem: String,
    /// What a human can do.
    pub remedy: String,
}

/// Kinds of reasons why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing answers where dockerd should be, or not in time.
    Unreachable,
    /// The planner may not speak to it.
    Forbidden,
    /// The dockerd that answers is no manager of a Swarm.
    NotAManager,
    /// It speaks another API than the planner.
    Version,
    /// It said no, or something that makes no sense.
    Answer,
    /// There is no such service, task or node.
    NotFound,
    /// The service cannot be moved, or not now.
    Immovable,
    /// It is being moved already, elsewhere; or another task is meant than the one that moves.
    OtherMove,
    /// The new task did not come to run; what was done was taken back.
    DidNotStart,
    /// The new task came to another node; what was done was taken back.
    WrongNode,
    /// Somebody else changed the service meanwhile.
    Interfered,
    /// What was asked for did not come to pass in time.
    Late,
}

impl SwarmError {
    pub(crate) fn new(
        why: Why,
        object: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { why, object: object.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// An error and what caused it, as one line.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors print their cause already.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
