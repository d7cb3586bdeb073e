//! The `ConfigMap` of what is moving, read and written.
use super::{MOVING_NAME, Moved, key, read, read_all};
use crate::{
    ClusterError,
    error::{in_full, request_failed},
};
use foremesh_core::ids::WorkloadId;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, time::Duration};

/// Who writes, for `managedFields`.
const FIELD_MANAGER: &str = "foremesh";
/// One reading or writing, with all that it tries.
const DEADLINE: Duration = Duration::from_secs(10);
/// Another one wrote in between as often as that: then something is wrong.
const ATTEMPTS: u32 = 8;

/// The durable list of what is moving. Clones are the same list.
///
/// A write returns when the API server has stored it, and a read sees every write that had returned before it began.
/// Writes name the version that they change; when another one was faster the list is read again. All can be repeated.
/// Each takes at most ten seconds.
///
/// Its account must be able to get, create and patch configmaps in the planner's namespace.
#[derive(Clone)]
pub struct MovingList {
    maps: Api<ConfigMap>,
    namespace: String,
}

impl fmt::Debug for MovingList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovingList").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl MovingList {
    /// The list of a planner that has this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { maps: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }

    /// All that is moving.
    ///
    /// # Errors
    /// When the API server does not give it, or a value cannot be read: then nobody knows what else is under way.
    pub async fn all(&self) -> Result<BTreeMap<WorkloadId, Moved>, ClusterError> {
        let map = self.within("reading", self.map()).await?;
        let data = map.and_then(|map| map.data).unwrap_or_default();
        let read = read_all(&data).into_iter().map(|(key, moved)| match moved {
            Ok(moved) => Ok((moved.workload.clone(), moved)),
            Err(problem) => Err(self.unreadable(&key, &problem)),
        });
        read.collect()
    }

    /// All that is moving and can be read; the rest is logged. For whoever only looks, and must not fail for one of many.
    pub(crate) async fn readable(&self) -> Result<Vec<Moved>, ClusterError> {
        let map = self.within("reading", self.map()).await?;
        let data = map.and_then(|map| map.data).unwrap_or_default();
        let read = read_all(&data).into_iter().filter_map(|(key, moved)| {
            let readable = moved.map_err(|problem| self.unreadable(&key, &problem));
            readable.inspect_err(|error| tracing::warn!(%error, "it is taken for not moving")).ok()
        });
        Ok(read.collect())
    }

    /// What is moving of a workload.
    ///
    /// # Errors
    /// When the API server does not give it, when the value cannot be read, or when the workload cannot be in the list.
    pub async fn get(&self, workload: &WorkloadId) -> Result<Option<Moved>, ClusterError> {
        let key = key(workload)?;
        let map = self.within("reading", self.map()).await?;
        let value = map.and_then(|map| map.data).and_then(|mut data| data.remove(&key));
        value.map(|value| read(&key, &value).map_err(|problem| self.unreadable(&key, &problem))).transpose()
    }

    /// Stores what is moving of a workload, in place of what was stored of it.
    ///
    /// # Errors
    /// When it is not certain that it is stored, or the workload cannot be in the list. It may be stored all the same
    /// when the API server did not answer in time.
    pub async fn put(&self, moved: &Moved) -> Result<(), ClusterError> {
        let key = key(&moved.workload)?;
        let value = serde_json::to_string(moved).map_err(|error| {
            ClusterError::new(self.object(), in_full(&error), "report it as a fault of Foremesh")
        })?;
        self.within("writing", self.set(&key, Some(&value))).await
    }

    /// Forgets what is moving of a workload, and is content when there is nothing.
    ///
    /// # Errors
    /// When it is not certain that it is gone, or the workload cannot be in the list.
    pub async fn remove(&self, workload: &WorkloadId) -> Result<(), ClusterError> {
        let key = key(workload)?;
        self.within("writing", self.set(&key, None)).await
    }

    async fn map(&self) -> Result<Option<ConfigMap>, ClusterError> {
        // Without a version: what is stored, not what some cache has.
        self.maps.get_opt(MOVING_NAME).await.map_err(|error| self.failed(&error, "get"))
    }

    async fn set(&self, key: &str, value: Option<&str>) -> Result<(), ClusterError> {
        for attempt in 0..ATTEMPTS {
            let outcome = match self.map().await? {
                None if value.is_none() => return Ok(()),
                None => self.create(key, value).await,
                Some(map) => {
                    let stored = map.data.as_ref().and_then(|data| data.get(key));
                    if stored.map(String::as_str) == value {
                        return Ok(());
                    }
                    self.patch(key, value, map.metadata.resource_version.as_deref()).await
                }
            };
            match outcome {
                // Another one was faster; 404 when it took the whole map away.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                    tokio::time::sleep(Duration::from_millis(20 << attempt)).await;
                }
                other => return other.map_err(|error| self.failed(&error, "create and patch")),
            }
        }
        Err(ClusterError::new(
            self.object(),
            format!("another one wrote it before each of {ATTEMPTS} attempts"),
            "find out who else writes it in its managedFields; only the planner should",
        ))
    }

    async fn create(&self, key: &str, value: Option<&str>) -> Result<(), kube::Error> {
        let data = value.map(|value| (key.to_owned(), value.to_owned()));
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(MOVING_NAME.to_owned()),
                labels: Some([("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned())].into()),
                ..Default::default()
            },
            data: Some(data.into_iter().collect()),
            ..Default::default()
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.maps.create(&params, &map).await.map(drop)
    }

    async fn patch(&self, key: &str, value: Option<&str>, version: Option<&str>) -> Result<(), kube::Error> {
        let patch: Value = json!({"metadata": {"resourceVersion": version}, "data": {key: value}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.maps.patch(MOVING_NAME, &params, &Patch::Merge(&patch)).await.map(drop)
    }

    async fn within<T>(
        &self,
        doing: &str,
        work: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| {
            Err(ClusterError::new(
                self.object(),
                format!("{doing} it took more than {} s", DEADLINE.as_secs()),
                "check that the API server answers and is not overloaded",
            ))
        })
    }

    fn object(&self) -> String {
        format!("ConfigMap {}/{MOVING_NAME}", self.namespace)
    }

    fn unreadable(&self, key: &str, problem: &str) -> ClusterError {
        ClusterError::new(
            format!("key `{key}` of {}", self.object()),
            format!("its value cannot be read: {problem}"),
            "look at the workload's replicas and scale, then remove the key; only the planner should write it",
        )
    }

    fn failed(&self, error: &kube::Error, verbs: &str) -> ClusterError {
        let rights = format!("{verbs} configmaps in namespace {}", self.namespace);
        let mut failed = request_failed(self.object(), error, &rights);
        if matches!(error, kube::Error::Api(status) if status.code == 404) {
            failed.remedy = format!("create namespace {}", self.namespace);
        }
        failed
    }
}
