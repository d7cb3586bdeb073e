//! Why traffic is not shifted.

/// What stands in the way, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The name of the service is not that of a Kubernetes service.
    NotAService,
    /// TCP or TLS routes go to the host: connections have no weights per request.
    NotHttp,
    /// The route is in another object, by delegation.
    Delegate,
    /// Several rules or routes for one host, of which Istio takes an unspecified one.
    Ambiguous,
    /// A route or rule for many hosts stands for this one, and one of its own would hide it.
    Wildcard,
    /// The object is not seen by all callers.
    Hidden,
    /// The object is for some callers only.
    Selected,
    /// A route of the Gateway API.
    GatewayApi,
    /// The route names a subset that no rule has, or one of ours is taken by the user.
    Subset,
    /// The host is written in a form that Istio does not complete.
    HostForm,
    /// The object is changed for another move.
    Busy,
    /// The weights cannot be had by locations.
    Weights,
    /// What was written was taken back by somebody else.
    Reverted,
    /// The API server or the control plane could not be asked.
    Unreachable,
    /// The proxies do not have it in time.
    NotPropagated,
}

/// Names the object, the reason and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {problem}; {remedy}")]
pub struct IstioError {
    /// For programs.
    pub reason: Reason,
    /// What was to be changed or asked.
    pub object: String,
    /// Why it is not.
    pub problem: String,
    /// What a human can do.
    pub remedy: String,
}

impl IstioError {
    pub(crate) fn new(
        reason: Reason,
        object: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { reason, object: object.into(), problem: problem.into(), remedy: remedy.into() }
    }
}
