//! Names of a service, as routes and rules write them.
use crate::{IstioError, Reason};
use foremesh_core::ids::ServiceId;

/// A Kubernetes service, by the host that callers call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name of the service.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The whole host.
    pub full: String,
}

impl Host {
    /// Reads `NAME.NAMESPACE.svc.DOMAIN`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of(service: &ServiceId) -> Result<Self, IstioError> {
        let full = service.as_str();
        let parts: Vec<&str> = full.splitn(4, '.').collect();
        if let [name, namespace, "svc", domain] = parts[..]
            && !(name.is_empty() || namespace.is_empty() || domain.is_empty())
        {
            return Ok(Self {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                full: full.to_owned(),
            });
        }
        Err(IstioError::new(
            Reason::NotAService,
            format!("service {full}"),
            "its name is not NAME.NAMESPACE.svc.DOMAIN",
            "move only what a Kubernetes service stands for",
        ))
    }

    /// Whether an object of a namespace means this host: by its whole name, or by the short one in its own namespace.
    pub(crate) fn is(&self, text: &str, namespace: &str) -> bool {
        text == self.full || (text == self.name && namespace == self.namespace)
    }

    /// Whether this is the host in a form with a dot that Istio takes as it stands, so that it means nothing.
    pub(crate) fn is_half(&self, text: &str) -> bool {
        text.strip_prefix(&format!("{}.{}", self.name, self.namespace))
            .is_some_and(|rest| rest.is_empty() || rest == ".svc")
    }

    /// Whether a host with a wildcard stands for this one among others.
    pub(crate) fn is_among(&self, text: &str) -> bool {
        text.strip_prefix('*').is_some_and(|end| self.full.ends_with(end))
    }

    /// Whether an object of a namespace may mean this host, also in a form that is refused.
    pub(crate) fn may_be(&self, text: &str, namespace: &str) -> bool {
        self.is(text, namespace) || self.is_half(text) || self.is_among(text)
    }

    /// Name of our own objects for it.
    pub(crate) fn own(&self) -> String {
        format!("foremesh-{}", self.name)
    }
}
