//! What is read and written for a trial, as plain JSON.
use crate::{ClusterError, error::request_failed, request::ask};
use foremesh_core::ids::WorkloadId;
use kube::{
    Client,
    api::{DeleteParams, GetParams, ListParams, PostParams, Preconditions},
    core::Request,
};
use serde_json::Value;

#[derive(Clone)]
pub(super) struct Api {
    client: Client,
}

impl Api {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// One object, when it is there.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Value>, ClusterError> {
        let (of, name) = path.rsplit_once('/').unwrap_or(("", path));
        match ask(&self.client, Request::new(of).get(name, &GetParams::default())).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(request_failed(path, &error, "get it")),
        }
    }

    /// Objects that carry a label.
    pub(super) async fn list(&self, path: &str, label: &str) -> Result<Vec<Value>, ClusterError> {
        let params =
            if label.is_empty() { ListParams::default() } else { ListParams::default().labels(label) };
        let answer = ask(&self.client, Request::new(path).list(&params)).await;
        match answer {
            Ok(mut list) => Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()),
            // A kind of which there are none yet.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(request_failed(path, &error, "list them")),
        }
    }

    /// Makes an object.
    ///
    /// # Errors
    /// Also when there is one of that name: it is somebody else's, and must not become part of a trial.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<(), ClusterError> {
        let named = || format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
        let body = serde_json::to_vec(object).map_err(|error| {
            ClusterError::new(named(), error.to_string(), "report it as a fault of Foremesh")
        })?;
        let params = PostParams { field_manager: Some("foremesh".to_owned()), ..PostParams::default() };
        match ask(&self.client, Request::new(path).create(&params, body)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                let problem = "it is there already, and is no part of this trial";
                Err(ClusterError::new(named(), problem, "remove it; nothing but trials belongs there"))
            }
            Err(error) => Err(request_failed(named(), &error, "create it")),
        }
    }

    /// Deletes an object with all below it, if it is still the same; content when it is gone.
    pub(super) async fn delete(&self, path: &str, object: &Value) -> Result<(), ClusterError> {
        let (of, name) = path.rsplit_once('/').unwrap_or(("", path));
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::background()
        };
        match ask(&self.client, Request::new(of).delete(name, &params)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(request_failed(path, &error, "delete it")),
        }
    }
}

/// Namespace and name of a Deployment.
pub(super) fn named(workload: &WorkloadId) -> Option<(&str, &str)> {
    workload.as_str().split_once('/').filter(|(_, name)| !name.is_empty() && !name.contains('/'))
}

pub(super) fn deployment_path(namespace: &str, name: &str) -> String {
    object_path("apps", "deployments", Some(namespace), name)
}

/// Where an object of version v1 is; the core group has no name.
pub(super) fn object_path(group: &str, plural: &str, namespace: Option<&str>, name: &str) -> String {
    format!("{}/{name}", kind_path(group, plural, namespace))
}

/// Where objects of a kind are.
pub(super) fn kind_path(group: &str, plural: &str, namespace: Option<&str>) -> String {
    let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
    let within = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
    format!("{root}{within}/{plural}")
}
