//! What is read and written of a move, as plain JSON, so that no field of anybody's object is lost.
use super::{
    FIELD_MANAGER,
    decide::{Change, Mark},
    error::{RelocateError, Why},
    seen::Seen,
};
use crate::{
    error::request_failed,
    request::{Built, ask},
    webhook::{COST_ANNOTATION, LOCATION_LABEL},
};
use kube::{
    Client,
    api::{GetParams, ListParams, Patch, PatchParams},
    core::Request,
};
use serde_json::{Value, json};

/// Requests to the API server.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
}

/// Whether a write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is stored.
    Stored,
    /// The object is another one by now, or gone.
    Overtaken,
}

impl Api {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// All that decides the next step of a workload.
    pub(super) async fn seen(&self, namespace: &str, name: &str) -> Result<Seen, RelocateError> {
        let Some(deployment) = self.get(namespace, DEPLOYMENTS, name).await? else {
            return Ok(Seen::default());
        };
        let selector = selector(&deployment["spec"]["selector"]);
        let (sets, pods, scalers) = futures::try_join!(
            self.list(namespace, REPLICA_SETS, &selector),
            self.list(namespace, PODS, &selector),
            self.list(namespace, SCALERS, ""),
        )?;
        Seen::read(Some(&deployment), &sets, &pods, &scalers).map_err(|problem| {
            RelocateError::new(
                Why::Cluster,
                format!("Deployment {namespace}/{name}"),
                format!("it cannot be read: {problem}"),
                "report it as a fault of Foremesh",
            )
        })
    }

    /// One object, when it is there.
    pub(super) async fn get(
        &self,
        namespace: &str,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Value>, RelocateError> {
        let object = format!("{} {namespace}/{name}", kind.plural);
        let request = Request::new(kind.path(namespace)).get(name, &GetParams::default());
        match ask(&self.client, request).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failed(object, &error, &format!("get {}", kind.plural))),
        }
    }

    /// Objects of a namespace, with such labels.
    pub(super) async fn list(
        &self,
        namespace: &str,
        kind: Kind,
        selector: &str,
    ) -> Result<Vec<Value>, RelocateError> {
        let params =
            if selector.is_empty() { ListParams::default() } else { ListParams::default().labels(selector) };
        let answer = ask(&self.client, Request::new(kind.path(namespace)).list(&params)).await;
        let object = format!("{} of namespace {namespace}", kind.plural);
        let mut list = answer.map_err(|error| failed(object, &error, &format!("list {}", kind.plural)))?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Changes the number of replicas of a Deployment that still has this version.
    pub(super) async fn scale(
        &self,
        namespace: &str,
        name: &str,
        replicas: u32,
        version: &str,
    ) -> Result<Written, RelocateError> {
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}});
        let path = Request::new(DEPLOYMENTS.path(namespace));
        let request = path.patch_subresource("scale", name, &params(), &Patch::Merge(&patch));
        self.write(request, format!("scale of Deployment {namespace}/{name}"), "patch deployments/scale")
            .await
    }

    /// Changes the least number of an autoscaler that still has this version.
    pub(super) async fn least(
        &self,
        namespace: &str,
        name: &str,
        replicas: u32,
        version: &str,
    ) -> Result<Written, RelocateError> {
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"minReplicas": replicas}});
        let request = Request::new(SCALERS.path(namespace)).patch(name, &params(), &Patch::Merge(&patch));
        self.write(request, format!("autoscaler {namespace}/{name}"), "patch horizontalpodautoscalers").await
    }

    /// Changes what a pod says of itself, if it is still the same pod.
    pub(super) async fn mark(&self, namespace: &str, mark: &Mark) -> Result<Written, RelocateError> {
        let mut patch = json!({"metadata": {"uid": mark.uid}});
        for (map, name, change) in
            [("labels", LOCATION_LABEL, &mark.location), ("annotations", COST_ANNOTATION, &mark.cost)]
        {
            if let Change::To(value) = change {
                patch["metadata"][map] = json!({name: value});
            }
        }
        let request = Request::new(PODS.path(namespace)).patch(&mark.pod, &params(), &Patch::Merge(&patch));
        self.write(request, format!("pod {namespace}/{}", mark.pod), "patch pods").await
    }

    async fn write(&self, request: Built, object: String, verb: &str) -> Result<Written, RelocateError> {
        match ask(&self.client, request).await {
            Ok(_) => Ok(Written::Stored),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Overtaken),
            Err(error) => Err(failed(object, &error, verb)),
        }
    }
}

/// Where objects of a kind are on the API server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    group: &'static str,
    pub(super) plural: &'static str,
}

pub(super) const DEPLOYMENTS: Kind = Kind { group: "apis/apps/v1", plural: "deployments" };
pub(super) const STATEFUL_SETS: Kind = Kind { group: "apis/apps/v1", plural: "statefulsets" };
pub(super) const DAEMON_SETS: Kind = Kind { group: "apis/apps/v1", plural: "daemonsets" };
pub(super) const PODS: Kind = Kind { group: "api/v1", plural: "pods" };
pub(super) const SERVICES: Kind = Kind { group: "api/v1", plural: "services" };
pub(super) const LIMIT_RANGES: Kind = Kind { group: "api/v1", plural: "limitranges" };
pub(super) const SLICES: Kind = Kind { group: "apis/discovery.k8s.io/v1", plural: "endpointslices" };
const REPLICA_SETS: Kind = Kind { group: "apis/apps/v1", plural: "replicasets" };
const SCALERS: Kind = Kind { group: "apis/autoscaling/v2", plural: "horizontalpodautoscalers" };
const NAMESPACES: Kind = Kind { group: "api/v1", plural: "namespaces" };

impl Kind {
    fn path(self, namespace: &str) -> String {
        format!("/{}/namespaces/{namespace}/{}", self.group, self.plural)
    }
}

impl Api {
    /// Labels of a namespace; `None` when there is no such namespace.
    pub(super) async fn namespace(&self, name: &str) -> Result<Option<Value>, RelocateError> {
        let request =
            Request::new(format!("/{}/namespaces", NAMESPACES.group)).get(name, &GetParams::default());
        match ask(&self.client, request).await {
            Ok(mut value) => Ok(Some(value["metadata"]["labels"].take())),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failed(format!("namespace {name}"), &error, "get namespaces")),
        }
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// A selector as it is written in a query.
fn selector(written: &Value) -> String {
    let labels = written["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = written["matchExpressions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let expressions = expressions.iter().map(|expression| {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

fn failed(object: String, error: &kube::Error, verb: &str) -> RelocateError {
    request_failed(object, error, &format!("{verb} in this namespace")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_written_as_queries() {
        let all = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "NotIn", "values": ["z"]},
            {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"}
        ]});
        assert_eq!(selector(&all), "app=web,a in (x,y),b notin (z),c,!d");
        assert_eq!(selector(&json!({"matchLabels": {"app": "web"}})), "app=web");
    }
}
