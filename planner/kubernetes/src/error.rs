//! What could not be learnt of a cluster.
use crate::resources;

/// Names what could not be read, why, and what a human can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {problem}; {remedy}")]
pub struct ClusterError {
    /// What was to be read.
    pub object: String,
    /// Why it was not.
    pub problem: String,
    /// What a human can do.
    pub remedy: String,
}

impl ClusterError {
    pub(crate) fn new(
        object: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { object: object.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// What can be done when the API server refuses, or does not answer, a request for objects of a kind.
pub(crate) fn remedy(error: &kube::Error, plural: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 && resources::is_ours(plural) => {
            "run `foremesh crds | kubectl apply -f -` to have policies and calendars in the cluster"
                .to_owned()
        }
        kube::Error::Api(status) if status.code == 404 => {
            format!("use a version of Kubernetes whose API server serves {plural}")
        }
        _ => allowed(error, &format!("list and watch {plural} in all namespaces")),
    }
}

/// What can be done when it refuses, or does not answer, any request. `rights` is what the planner's account must be allowed
/// to do.
fn allowed(error: &kube::Error, rights: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            "give the planner credentials that the API server accepts".to_owned()
        }
        kube::Error::Api(status) if status.code == 403 => format!("let the planner's account {rights}"),
        _ => "check that the API server answers and can be reached from the planner".to_owned(),
    }
}

/// What a request to the API server failed with. `rights` is what the planner's account must be allowed to do.
pub(crate) fn request_failed(object: impl Into<String>, error: &kube::Error, rights: &str) -> ClusterError {
    ClusterError::new(object, said(error), allowed(error, rights))
}

/// What the API server says, without the fields around it; else the error in full.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        _ => in_full(error),
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
