//! Requests to the API server, as JSON.
use crate::{Host, IstioError, Kind, MANAGER, Objects, Reason, Write, objects::text};
use foremesh_kubernetes::{
    mesh::{Index, Named, Routing},
    request::{Built, ask},
};
use kube::{
    Client,
    api::{GetParams, ListParams, Patch, PatchParams, PostParams},
    core::Request,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

const NETWORKING: &str = "/apis/networking.istio.io/v1";
const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1";

/// Requests to the API server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    /// Says which objects are about a host; without it all of the mesh are read.
    index: Option<Arc<dyn Index>>,
}

/// Whether a write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is stored.
    Stored,
    /// The object is another one by now, or gone, or there already.
    Overtaken,
}

impl Api {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client, index: None }
    }

    pub(crate) fn with_index(mut self, index: Arc<dyn Index>) -> Self {
        self.index = Some(index);
        self
    }

    /// The objects that decide on a host, as they are stored now. Each is read by its name where it is known which ones
    /// there are; else all of the mesh are.
    pub(crate) async fn objects_of(&self, host: &Host) -> Result<Objects, IstioError> {
        let is_meant = |kind, namespace: &str, text: &str| match kind {
            // It may name a service of another namespace.
            Routing::HttpRoute => text == host.name,
            Routing::VirtualService | Routing::DestinationRule => host.may_be(text, namespace),
        };
        let named = self.index.as_ref().and_then(|index| index.naming(&is_meant));
        let Some(named) = named else { return self.objects().await };
        let own = |kind| Named { kind, namespace: host.namespace.clone(), name: host.own() };
        // What was written a moment ago may not be in the index yet.
        let mut named: Vec<Named> =
            named.into_iter().chain([own(Routing::VirtualService), own(Routing::DestinationRule)]).collect();
        named.sort_unstable();
        named.dedup();
        let read = named
            .iter()
            .map(|named| async move { Ok::<_, IstioError>((named.kind, self.one(named).await?)) });
        let read = futures::future::try_join_all(read).await?;
        let mut objects = Objects::default();
        for (kind, object) in read {
            let of_kind = match kind {
                Routing::VirtualService => &mut objects.virtual_services,
                Routing::DestinationRule => &mut objects.destination_rules,
                Routing::HttpRoute => &mut objects.http_routes,
            };
            of_kind.extend(object);
        }
        Ok(objects)
    }

    /// One object, when it is there.
    async fn one(&self, named: &Named) -> Result<Option<Value>, IstioError> {
        let Named { kind, namespace, name } = named;
        let (group, plural) = match kind {
            Routing::VirtualService => (NETWORKING, "virtualservices"),
            Routing::DestinationRule => (NETWORKING, "destinationrules"),
            Routing::HttpRoute => (GATEWAY, "httproutes"),
        };
        let path = format!("{group}/namespaces/{namespace}/{plural}");
        match self.ask(Request::new(path).get(name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => {
                Err(failed(&format!("{plural} {namespace}/{name}"), &error, &format!("get {plural}")))
            }
        }
    }

    /// All objects of the mesh that decide.
    pub(crate) async fn objects(&self) -> Result<Objects, IstioError> {
        let of = |plural: &str| format!("{NETWORKING}/{plural}");
        let (routes, rules) = (of("virtualservices"), of("destinationrules"));
        let of_gateways = format!("{GATEWAY}/httproutes");
        let (virtual_services, destination_rules, http_routes) = tokio::try_join!(
            self.list(&routes, ""),
            self.list(&rules, ""),
            self.list_if_served(&of_gateways),
        )?;
        Ok(Objects { virtual_services, destination_rules, http_routes })
    }

    /// The pods that a service selects and that are not on their way out.
    pub(crate) async fn pods(&self, host: &Host) -> Result<Vec<Value>, IstioError> {
        let path = format!("/api/v1/namespaces/{}/services", host.namespace);
        let object = format!("service {}/{}", host.namespace, host.name);
        let service = self.ask(Request::new(path).get(&host.name, &GetParams::default())).await;
        let service = service.map_err(|error| failed(&object, &error, "get services"))?;
        let selector: BTreeMap<String, String> =
            serde_json::from_value(service["spec"]["selector"].clone()).unwrap_or_default();
        if selector.is_empty() {
            return Err(IstioError::new(
                Reason::NotAService,
                object,
                "it has no selector, so that its endpoints come from somewhere else",
                "move only what a Kubernetes service selects",
            ));
        }
        let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pods =
            self.list(&format!("/api/v1/namespaces/{}/pods", host.namespace), &labels.join(",")).await?;
        let gone = |pod: &Value| {
            pod["metadata"].get("deletionTimestamp").is_some()
                || matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        };
        Ok(pods.into_iter().filter(|pod| !gone(pod)).collect())
    }

    /// Objects below a path, with such labels.
    pub(crate) async fn list(&self, path: &str, labels: &str) -> Result<Vec<Value>, IstioError> {
        let answer = self.listed(path, labels).await;
        answer.map_err(|error| failed(path, &error, "list this"))
    }

    async fn list_if_served(&self, path: &str) -> Result<Vec<Value>, IstioError> {
        match self.listed(path, "").await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            answer => answer.map_err(|error| failed(path, &error, "list this")),
        }
    }

    async fn listed(&self, path: &str, labels: &str) -> Result<Vec<Value>, kube::Error> {
        let params =
            if labels.is_empty() { ListParams::default() } else { ListParams::default().labels(labels) };
        let mut list = self.ask(Request::new(path).list(&params)).await?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Sets the label of a pod, or takes it off, if it is still the same pod.
    pub(crate) async fn label(&self, pod: &Value, value: Option<&str>) -> Result<Written, IstioError> {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let labels = BTreeMap::from([(crate::LOCATION_LABEL, value)]);
        let patch = json!({"metadata": {"uid": text(pod, "/metadata/uid"), "labels": labels}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let path = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
        self.written(
            &format!("pod {namespace}/{name}"),
            "patch pods",
            path.patch(name, &params, &Patch::Merge(&patch)),
        )
        .await
    }

    /// Carries a write out.
    pub(crate) async fn write(&self, write: &Write) -> Result<Written, IstioError> {
        let kind = write.kind();
        let plural = match kind {
            Kind::VirtualService => "virtualservices",
            Kind::DestinationRule => "destinationrules",
        };
        let path = |namespace: &str| Request::new(format!("{NETWORKING}/namespaces/{namespace}/{plural}"));
        let manager = Some(MANAGER.to_owned());
        let (namespace, name, verb, request): (&str, &str, &str, Built) = match write {
            Write::Create { object, .. } => {
                let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
                let params = PostParams { field_manager: manager, ..PostParams::default() };
                let body = serde_json::to_vec(object).unwrap_or_default();
                (namespace, name, "create", path(namespace).create(&params, body))
            }
            Write::Patch { namespace, name, patch, .. } => {
                let uri =
                    format!("{NETWORKING}/namespaces/{namespace}/{plural}/{name}?fieldManager={MANAGER}");
                let request = hyper::Request::patch(uri)
                    .header("content-type", "application/json-patch+json")
                    .body(serde_json::to_vec(patch).unwrap_or_default())
                    .map_err(kube::core::request::Error::BuildRequest);
                (namespace, name, "patch", request)
            }
            Write::Delete { namespace, name, version, .. } => {
                let params = kube::api::DeleteParams {
                    preconditions: Some(kube::api::Preconditions {
                        resource_version: Some(version.clone()),
                        uid: None,
                    }),
                    ..kube::api::DeleteParams::default()
                };
                (namespace, name, "delete", path(namespace).delete(name, &params))
            }
        };
        let object = format!("{} {namespace}/{name}", kind.name());
        self.written(&object, &format!("{verb} {plural}"), request).await
    }

    /// A token of a service account for an audience.
    pub(crate) async fn token(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
    ) -> Result<String, IstioError> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}");
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 600},
        });
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let request = hyper::Request::post(format!("{path}/token"))
            .header("content-type", "application/json")
            .body(body)
            .map_err(kube::core::request::Error::BuildRequest);
        let object = format!("service account {namespace}/{account}");
        let answer = self.ask(request).await;
        let answer = answer.map_err(|error| failed(&object, &error, "create serviceaccounts/token"))?;
        Ok(text(&answer, "/status/token").to_owned())
    }

    async fn written(&self, object: &str, verb: &str, request: Built) -> Result<Written, IstioError> {
        match self.ask(request).await {
            Ok(_) => Ok(Written::Stored),
            // A failed test of a JSON Patch is a 422.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Overtaken),
            Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains("test") => {
                Ok(Written::Overtaken)
            }
            Err(error) => Err(failed(object, &error, verb)),
        }
    }

    async fn ask(&self, request: Built) -> Result<Value, kube::Error> {
        ask(&self.client, request).await
    }
}

fn failed(object: &str, error: &kube::Error, verb: &str) -> IstioError {
    let remedy = match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            format!("let the planner's account {verb}")
        }
        _ => "check that the API server answers and serves this kind".to_owned(),
    };
    IstioError::new(Reason::Unreachable, object, error.to_string(), remedy)
}
