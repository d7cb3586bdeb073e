//! The resources as a watch has them, so that they need not be listed to see whether somebody has touched one.
use super::{KIND, PLANNER, PLURAL, store::Found};
use crate::{
    Clock, ClusterError, ClusterSettings, News, cluster,
    objects::{Keep, Kind, Manifest, Meta},
    resources::{GROUP, VERSION},
    watch::{Heard, How, Told, Watch},
};
use kube::Client;
use serde_json::Value;
use std::{fmt, sync::Arc};
use tokio::task::JoinSet;

/// What is kept of a resource.
#[derive(Debug)]
struct Shown {
    meta: Meta,
    found: Option<Found>,
}

impl Keep for Shown {
    type Spec = Value;
    type Status = Value;
    const KIND: Kind = Kind { group: GROUP, version: VERSION, kind: KIND, plural: PLURAL };
    const MATTERS_EVERYWHERE: bool = true;

    fn keep(mut manifest: Manifest<Value, Value>) -> Self {
        let found = Found::of(kube::Resource::meta(&manifest), &manifest.spec, &manifest.status);
        Self { meta: manifest.meta(), found }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// The resources of one planner's namespace, watched. Dropping it ends the watch.
pub(super) struct Watched {
    heard: Heard,
    clock: Clock,
    told: Told,
    watch: Arc<Watch<Shown>>,
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

/// What is known of the resources without a request.
pub(super) enum Known {
    /// All of them, as they were a moment ago.
    All(Vec<Found>),
    /// The cluster has no such kind.
    NoKind,
    /// Not enough.
    Unsure,
}

impl Watched {
    pub(super) async fn connect(
        settings: &ClusterSettings,
        planner: &str,
        clock: Clock,
    ) -> Result<Self, ClusterError> {
        let heard = Heard::new(Arc::clone(&clock));
        let client = cluster::heard_client(settings, &heard).await?;
        Ok(Self::watch(&client, heard, planner, clock))
    }

    /// Watches through a client that is listened to.
    pub(super) fn watch(client: &Client, heard: Heard, planner: &str, clock: Clock) -> Self {
        let (mut tasks, told) = (JoinSet::new(), Told::default());
        let how = How { labels: format!("{PLANNER}={planner}"), told: Some(told.clone()), ..How::default() };
        let watch = Arc::new(Watch::start_as(client, &heard, &clock, &mut tasks, how));
        Self { heard, clock, told, watch, _tasks: tasks }
    }

    pub(super) fn known(&self) -> Known {
        if self.watch.is_live(&self.heard, (self.clock)()) {
            let all = self.watch.all();
            return Known::All(all.iter().filter_map(|shown| shown.found.clone()).collect());
        }
        if self.watch.is_absent() { Known::NoKind } else { Known::Unsure }
    }

    /// Tells when one of them changes.
    pub(super) fn news(&self) -> News {
        let (watch, heard, clock) = (Arc::clone(&self.watch), self.heard.clone(), Arc::clone(&self.clock));
        News::new(self.told.clone(), move || watch.is_live(&heard, clock()))
    }
}
