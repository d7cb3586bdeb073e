//! Reads and writes the resources, and tells of changes.
use super::{
    FINALIZER, KIND, Known, PLANNER, PLURAL, ROLLOUT, RelocationStatus,
    event::{About, events, is_told},
    object::{LOST, Wanted},
    shown::{Known as Seen, Watched},
};
use crate::{
    Clock, ClusterError, ClusterSettings, News,
    error::request_failed,
    resources::{GROUP, VERSION},
};
use foremesh_core::{
    ids::RolloutId,
    rollout::{Phase, RolloutRecord},
    time::Timestamp,
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::{GroupVersionKind, ObjectMeta},
};
use serde_json::{Value, json};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Who writes, for `managedFields`.
const FIELD_MANAGER: &str = "foremesh";
/// One request.
const DEADLINE: Duration = Duration::from_secs(10);

/// A resource as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The rollout that it is of.
    pub rollout: RolloutId,
    /// Counts the changes of its `spec`.
    pub generation: i64,
    /// It is to be deleted.
    pub is_deleted: bool,
    /// It is not deleted before it is let go.
    pub is_held: bool,
    /// `spec.abort`.
    pub abort: bool,
    /// What it says; none when it says nothing yet, or what cannot be read.
    pub status: Option<RelocationStatus>,
}

impl Found {
    pub(super) fn of(metadata: &ObjectMeta, spec: &Value, status: &Value) -> Option<Self> {
        let annotations = metadata.annotations.as_ref();
        let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
        Some(Self {
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
            uid: metadata.uid.clone().unwrap_or_default(),
            // One whose annotation was taken away is of no rollout.
            rollout: RolloutId::new(
                annotations.and_then(|all| all.get(ROLLOUT)).cloned().unwrap_or_default(),
            ),
            generation: metadata.generation.unwrap_or(0),
            is_deleted: metadata.deletion_timestamp.is_some(),
            is_held: finalizers.iter().any(|finalizer| finalizer == FINALIZER),
            abort: spec["abort"] == json!(true),
            status: serde_json::from_value(status.clone()).ok(),
        })
    }

    fn of_object(object: &DynamicObject) -> Option<Self> {
        Self::of(&object.metadata, &object.data["spec"], &object.data["status"])
    }
}

impl Found {
    /// Whether it says that its rollout is over.
    pub fn is_over(&self) -> bool {
        let last = [Phase::Succeeded, Phase::RolledBack, Phase::Aborted, Phase::Failed];
        self.status.as_ref().is_some_and(|status| last.iter().any(|phase| phase.name() == status.state))
    }
}

impl Found {
    /// Whether it says that nobody knew its rollout. Another planner's journal may know it all the same.
    pub fn is_lost(&self) -> bool {
        let conditions = self.status.as_ref().map(|status| &status.conditions);
        conditions.is_some_and(|all| all.iter().any(|condition| condition.reason == LOST))
    }
}

/// What could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The cluster does not know the kind, or there is no such object any more.
    #[error("the cluster has no Relocations; apply what `foremesh crds` prints to see moves there")]
    Missing,
    /// Another one was faster; it is read again.
    #[error("another one wrote Relocation {0}")]
    Overtaken(String),
    /// Something else.
    #[error(transparent)]
    Failed(#[from] ClusterError),
}

/// The resources of one planner's namespace. Clones share the client.
///
/// Its account must be able to list, watch, create, patch and delete `relocations` and patch `relocations/status`
/// (`foremesh.dev`), to create `events` (`events.k8s.io`), and to get deployments, in all namespaces.
#[derive(Clone)]
pub struct Store {
    client: Client,
    planner: String,
    reporter: String,
    watched: Option<Arc<Watched>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("planner", &self.planner).finish_non_exhaustive()
    }
}

impl Store {
    /// Those of the planners of this namespace; `reporter` tells them apart in events.
    pub fn new(client: Client, planner: &str, reporter: &str) -> Self {
        Self { client, planner: planner.to_owned(), reporter: reporter.to_owned(), watched: None }
    }

    /// Watches them, instead of listing them each time. What is written a moment ago may be missing then, and is written
    /// again at worst.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster.
    pub async fn watched(self, settings: &ClusterSettings, clock: Clock) -> Result<Self, ClusterError> {
        let watched = Watched::connect(settings, &self.planner, clock).await?;
        Ok(Self { watched: Some(Arc::new(watched)), ..self })
    }

    /// Tells when one of them changes, where they are watched.
    pub fn news(&self) -> Option<News> {
        self.watched.as_ref().map(|watched| watched.news())
    }

    /// All that there are: as the watch has them, while it works.
    ///
    /// # Errors
    /// When the cluster has no such kind, or does not give them.
    pub async fn found(&self) -> Result<Vec<Found>, StoreError> {
        match self.watched.as_ref().map(|watched| watched.known()) {
            Some(Seen::All(found)) => Ok(found),
            Some(Seen::NoKind) => Err(StoreError::Missing),
            Some(Seen::Unsure) | None => self.all().await,
        }
    }

    /// The namespace of the planner.
    pub fn planner(&self) -> &str {
        &self.planner
    }

    async fn all(&self) -> Result<Vec<Found>, StoreError> {
        let all = Api::<DynamicObject>::all_with(self.client.clone(), &kind());
        let own = ListParams::default().labels(&format!("{PLANNER}={}", self.planner));
        let listed = self.asked("Relocations", "list relocations in all namespaces", all.list(&own)).await?;
        Ok(listed.items.iter().filter_map(Found::of_object).collect())
    }

    /// Makes the object.
    ///
    /// # Errors
    /// When it is not certain that it was made, or it was there.
    pub async fn make(&self, wanted: &Wanted) -> Result<Found, StoreError> {
        let object: DynamicObject = serde_json::from_value(wanted.object.clone()).map_err(|error| {
            ClusterError::new(&wanted.name, error.to_string(), "report it as a fault of Foremesh")
        })?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.of(&wanted.namespace);
        let made = self.asked(&wanted.name, "create relocations", api.create(&params, &object)).await?;
        Found::of_object(&made).ok_or(StoreError::Missing)
    }

    /// Tells of the changes of state and of what became of the move, as far as the object does not say it yet, and writes its
    /// status.
    ///
    /// # Errors
    /// When one of it is not certain.
    pub async fn say(
        &self,
        found: &Found,
        known: Option<(&Known, &RolloutRecord)>,
        status: &RelocationStatus,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some((known, record)) = known {
            self.tell(found, &known.wanted, record, now).await?;
        }
        let patch = Patch::Apply(json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND, "metadata": {"name": found.name},
            "status": status,
        }));
        let (api, params) = (self.of(&found.namespace), PatchParams::apply(FIELD_MANAGER).force());
        let said = api.patch_status(&found.name, &params, &patch);
        self.asked(&found.name, "patch relocations/status", said).await.map(drop)
    }

    /// Events first: when they are made and the status is not written, they are only made once more.
    async fn tell(
        &self,
        found: &Found,
        wanted: &Wanted,
        record: &RolloutRecord,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = found.status.as_ref();
        if is_told(record, before) {
            return Ok(());
        }
        let deployment = self.deployment(&wanted.namespace, &wanted.deployment).await?;
        let about = About { relocation: &found.uid, deployment: deployment.as_deref() };
        let api = Api::<DynamicObject>::namespaced_with(
            self.client.clone(),
            &wanted.namespace,
            &ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event")),
        );
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        for event in events(record, wanted, &about, before, &self.reporter, now) {
            let event: DynamicObject = serde_json::from_value(event).map_err(|error| {
                ClusterError::new("event", error.to_string(), "report it as a fault of Foremesh")
            })?;
            match self.asked("events", "create events (events.k8s.io)", api.create(&params, &event)).await {
                // It was told before.
                Ok(_) | Err(StoreError::Overtaken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<String>, StoreError> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &kind);
        match self.asked(name, "get deployments", api.get_metadata(name)).await {
            Ok(found) => Ok(found.metadata.uid),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes our finalizer away, and leaves those of others.
    ///
    /// # Errors
    /// When it is not certain that it is gone.
    pub async fn let_go(&self, found: &Found) -> Result<(), StoreError> {
        let api = self.of(&found.namespace);
        let rights = "patch relocations";
        let object = match self.asked(&found.name, rights, api.get(&found.name)).await {
            Ok(object) => object,
            Err(StoreError::Missing) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut left = object.metadata.finalizers.unwrap_or_default();
        left.retain(|finalizer| finalizer != FINALIZER);
        // A merge replaces the whole list, so it must still be the one that was read.
        let patch: Value =
            json!({"metadata": {"resourceVersion": object.metadata.resource_version, "finalizers": left}});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(&patch);
        match self.asked(&found.name, rights, api.patch(&found.name, &params, &patch)).await {
            Ok(_) | Err(StoreError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes it.
    ///
    /// # Errors
    /// When it is not certain.
    pub async fn delete(&self, found: &Found) -> Result<(), StoreError> {
        let (api, params) = (self.of(&found.namespace), DeleteParams::default());
        match self.asked(&found.name, "delete relocations", api.delete(&found.name, &params)).await {
            Ok(_) | Err(StoreError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn of(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind())
    }

    async fn asked<T>(
        &self,
        object: &str,
        rights: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, StoreError> {
        match timeout(DEADLINE, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(StoreError::Missing),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                Err(StoreError::Overtaken(object.to_owned()))
            }
            Ok(Err(error)) => Err(request_failed(object, &error, rights).into()),
            Err(_) => Err(ClusterError::new(
                object,
                format!("the API server did not answer within {} s", DEADLINE.as_secs()),
                "check that it answers and is not overloaded",
            )
            .into()),
        }
    }
}

fn kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), PLURAL)
}
