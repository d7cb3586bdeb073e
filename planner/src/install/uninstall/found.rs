//! What an installation has left in a cluster, by its label.
use crate::install::planner::{MANAGED_BY, NAME};
use foremesh_kubernetes::resources::{GROUP, VERSION, relocation};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions, PropagationPolicy},
    core::GroupVersionKind,
};
use std::fmt;

/// A kind of objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Whether objects in other namespaces than the planner's are meant too.
    pub(super) anywhere: bool,
    /// The label that they are found by.
    label: &'static str,
}

const OURS: Kind =
    Kind { group: "", version: "v1", kind: "", plural: "", anywhere: false, label: MANAGED_BY };
const RBAC: Kind = Kind { group: "rbac.authorization.k8s.io", anywhere: true, ..OURS };
const ISTIO: Kind = Kind { group: "networking.istio.io", anywhere: true, ..OURS };
const EXTENSION: Kind = Kind { group: "extensions.istio.io", version: "v1alpha1", anywhere: true, ..OURS };
const SECURITY: Kind = Kind { group: "security.istio.io", ..OURS };

/// The planner.
pub(super) const DEPLOYMENTS: Kind =
    Kind { group: "apps", kind: "Deployment", plural: "deployments", ..OURS };
/// Its pods.
pub(super) const PODS: Kind = Kind { kind: "Pod", plural: "pods", label: "app.kubernetes.io/name", ..OURS };
/// What a move puts there and takes away again.
pub(super) const ROUTES: &[Kind] = &[
    Kind { kind: "VirtualService", plural: "virtualservices", ..ISTIO },
    Kind { kind: "DestinationRule", plural: "destinationrules", ..ISTIO },
];

/// What defines custom resources.
pub(super) const DEFINITIONS: Kind = Kind {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    anywhere: true,
    ..OURS
};
/// Moves that the planner has shown, by the label that says which planner it was.
pub(super) const RELOCATIONS: Kind = Kind {
    group: GROUP,
    version: VERSION,
    kind: relocation::KIND,
    plural: relocation::PLURAL,
    anywhere: true,
    label: relocation::PLANNER,
};

/// All kinds of an installation, in the order in which they go: first what reaches into the work of others.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        group: "admissionregistration.k8s.io",
        kind: "MutatingWebhookConfiguration",
        plural: "mutatingwebhookconfigurations",
        ..OURS
    },
    Kind { kind: "TrafficExtension", plural: "trafficextensions", ..EXTENSION },
    Kind { kind: "WasmPlugin", plural: "wasmplugins", ..EXTENSION },
    Kind { version: "v1alpha3", kind: "EnvoyFilter", plural: "envoyfilters", ..ISTIO },
    DEPLOYMENTS,
    Kind { kind: "Service", plural: "services", ..OURS },
    Kind { kind: "AuthorizationPolicy", plural: "authorizationpolicies", ..SECURITY },
    Kind { kind: "PeerAuthentication", plural: "peerauthentications", ..SECURITY },
    Kind { kind: "ConfigMap", plural: "configmaps", ..OURS },
    Kind { kind: "Secret", plural: "secrets", ..OURS },
    Kind { kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims", ..OURS },
    Kind { group: "coordination.k8s.io", kind: "Lease", plural: "leases", ..OURS },
    Kind { kind: "RoleBinding", plural: "rolebindings", ..RBAC },
    Kind { kind: "Role", plural: "roles", ..RBAC },
    Kind { kind: "ClusterRoleBinding", plural: "clusterrolebindings", ..RBAC },
    Kind { kind: "ClusterRole", plural: "clusterroles", ..RBAC },
    Kind { kind: "ServiceAccount", plural: "serviceaccounts", anywhere: true, ..OURS },
    Kind { kind: "Namespace", plural: "namespaces", ..OURS },
];

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Found {
    kind: Kind,
    namespace: Option<String>,
    name: String,
    uid: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.plural)?;
        if !self.kind.group.is_empty() {
            write!(f, ".{}", self.kind.group)?;
        }
        write!(f, "/{}", self.name)?;
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " of {namespace}"))
    }
}

impl Kind {
    /// Its objects, in a namespace or in all.
    pub(super) fn api(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, self.plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    }

    /// Those of an installation; none when the cluster does not serve the kind.
    pub(super) async fn found(&self, client: &Client, planner: &str) -> anyhow::Result<Vec<Found>> {
        self.labelled(client, planner, NAME).await
    }

    /// Those whose label has a value.
    pub(super) async fn labelled(
        &self,
        client: &Client,
        planner: &str,
        value: &str,
    ) -> anyhow::Result<Vec<Found>> {
        let params = ListParams::default().labels(&format!("{}={value}", self.label));
        let list = match self.api(client, None).list_metadata(&params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            answer => answer.map_err(|error| {
                anyhow::Error::new(error)
                    .context(format!("the {} of the cluster cannot be listed", self.plural))
            })?,
        };
        let objects = list.items.into_iter().map(|object| object.metadata);
        let ours = objects.filter(|meta| self.concerns(meta.namespace.as_deref(), planner));
        Ok(ours
            .map(|meta| Found {
                kind: *self,
                namespace: meta.namespace,
                name: meta.name.unwrap_or_default(),
                uid: meta.uid,
            })
            .collect())
    }
}

impl Found {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Deletes it, if it is still the same; is content when it is gone.
    pub(super) async fn delete(&self, client: &Client) -> anyhow::Result<()> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: self.uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.kind.api(client, self.namespace.as_deref()).delete(&self.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(anyhow::Error::new(error).context(format!("{self} cannot be deleted"))),
        }
    }
}
