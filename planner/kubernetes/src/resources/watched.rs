//! The objects of our kinds in a cluster: what is stored, fresh or an error, and their status, written back.
use super::{GROUP, VERSION, calendar, policy};
use crate::{
    Clock, ClusterError, ClusterSettings, cluster,
    error::request_failed,
    objects::{Keep, Kind, Manifest, Meta},
    watch::{Heard, Watch},
};
use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::{fmt, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Who writes, in `managedFields`.
const FIELD_MANAGER: &str = "foremesh";
/// One request.
const DEADLINE: Duration = Duration::from_secs(10);

/// An object as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Counts changes of `spec`.
    pub generation: i64,
    /// It is being deleted.
    pub terminating: bool,
    /// What people wrote.
    pub spec: Value,
    /// What the planner wrote last.
    pub status: Value,
}

/// One of our kinds whose objects people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// `RelocationPolicy`
    Policy,
    /// `EventCalendar`
    Calendar,
}

impl Written {
    const fn kind(self) -> Kind {
        match self {
            Self::Policy => PolicyObject::KIND,
            Self::Calendar => CalendarObject::KIND,
        }
    }

    /// Its name, such as `RelocationPolicy`.
    pub const fn name(self) -> &'static str {
        self.kind().kind
    }
}

macro_rules! object {
    ($name:ident: $kind:expr, $plural:expr) => {
        #[derive(Debug)]
        struct $name {
            meta: Meta,
            stored: Arc<Stored>,
        }

        impl Keep for $name {
            type Spec = Value;
            type Status = Value;
            const KIND: Kind = Kind { group: GROUP, version: VERSION, kind: $kind, plural: $plural };

            fn keep(mut manifest: Manifest<Value, Value>) -> Self {
                let meta = manifest.meta();
                let stored = Stored {
                    namespace: meta.namespace.clone(),
                    name: meta.name.clone(),
                    generation: meta.generation,
                    terminating: meta.terminating,
                    spec: manifest.spec,
                    status: manifest.status,
                };
                Self { meta, stored: Arc::new(stored) }
            }

            fn meta(&self) -> &Meta {
                &self.meta
            }
        }
    };
}

object!(PolicyObject: foremesh_core::policy::spec::KIND, policy::PLURAL);
object!(CalendarObject: foremesh_calendar::KIND, calendar::PLURAL);

/// Policies and calendars of a cluster, watched. Dropping it ends the watches.
pub struct Resources {
    client: Client,
    clock: Clock,
    heard: Heard,
    stale_after: Duration,
    policies: Watch<PolicyObject>,
    calendars: Watch<CalendarObject>,
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("stale_after", &self.stale_after).finish_non_exhaustive()
    }
}

impl Resources {
    /// Starts to watch them in all namespaces. Where their definitions are not in the cluster yet, it tries again until they
    /// are.
    ///
    /// Its account must be able to list and watch `relocationpolicies` and `eventcalendars` of `foremesh.dev`, and to patch
    /// `relocationpolicies/status` and `eventcalendars/status`.
    ///
    /// # Errors
    /// When it is not known how to reach the cluster.
    pub async fn connect(settings: &ClusterSettings, clock: Clock) -> Result<Self, ClusterError> {
        let heard = Heard::new(Arc::clone(&clock));
        let client = cluster::heard_client(settings, &heard).await?;
        Ok(Self::watch(client, heard, settings.stale_after, clock))
    }

    /// Watches through a client that is listened to.
    pub(crate) fn watch(client: Client, heard: Heard, stale_after: Duration, clock: Clock) -> Self {
        let mut tasks = JoinSet::new();
        let policies = Watch::start(&client, &heard, &clock, &mut tasks);
        let calendars = Watch::start(&client, &heard, &clock, &mut tasks);
        Self { client, clock, heard, stale_after, policies, calendars, _tasks: tasks }
    }

    /// All objects of a kind, ordered by namespace and name.
    ///
    /// # Errors
    /// When the first list is not complete, or nothing was heard of the watch for too long: names the watch, and since when.
    /// Also where the cluster does not know the kind.
    pub fn stored(&self, kind: Written) -> Result<Vec<Arc<Stored>>, ClusterError> {
        let now = (self.clock)();
        macro_rules! of {
            ($watch:expr) => {{
                let held = $watch.held(&self.heard, now, self.stale_after)?;
                Ok(held.objects.iter().map(|object| Arc::clone(&object.stored)).collect())
            }};
        }
        match kind {
            Written::Policy => of!(self.policies),
            Written::Calendar => of!(self.calendars),
        }
    }

    /// Puts a status in the place of the one that the planner wrote last, by server-side apply. An object that is gone has
    /// none.
    ///
    /// # Errors
    /// When the API server refuses, or does not answer.
    pub async fn write_status(
        &self,
        kind: Written,
        object: &Stored,
        status: &Value,
    ) -> Result<(), ClusterError> {
        let Kind { group, version, kind, plural } = kind.kind();
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &object.namespace, &resource);
        let applied = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": kind,
            "metadata": {"name": object.name, "namespace": object.namespace},
            "status": status,
        });
        let how = PatchParams::apply(FIELD_MANAGER).force();
        let name = format!("status of {kind} {}/{}", object.namespace, object.name);
        let patch = Patch::Apply(&applied);
        let Ok(answer) = tokio::time::timeout(DEADLINE, api.patch_status(&object.name, &how, &patch)).await
        else {
            let remedy = "check that the API server answers and can be reached from the planner";
            return Err(ClusterError::new(name, format!("no answer within {DEADLINE:?}"), remedy));
        };
        match answer {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(request_failed(name, &error, &format!("patch {plural}/status"))),
        }
    }
}
