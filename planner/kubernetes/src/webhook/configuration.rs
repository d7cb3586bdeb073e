//! Keeps the `MutatingWebhookConfiguration` as what moves demands.
use super::{WebhookSettings, admission::PROBED, identity::Identity, registration};
use crate::{
    ClusterError,
    error::{request_failed, said},
    moving::{MOVING_NAME, MovingList},
};
use foremesh_core::time::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

const FIELD_MANAGER: &str = "foremesh";
const ATTEMPTS: u32 = 8;
/// Annotation with the time at which pods were last asked for, so that whoever overtakes it notices.
const STAMP: &str = "foremesh.dev/armed";
/// From the writing of the configuration to the API server that goes by it.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// Between the first two tries; twice as long between the next two, up to [`PROBED_SELDOM`].
const PROBED_SOON: Duration = Duration::from_millis(50);
const PROBED_SELDOM: Duration = Duration::from_millis(500);

/// What became of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// Nothing moves, so there is nothing for the API server to ask.
    Idle,
    /// It was so already.
    Same,
    /// It was written.
    Written {
        /// What this writing is known by.
        stamp: String,
    },
}

/// The configuration, and what it is made of.
pub(super) struct Configuration {
    configurations: Api<DynamicObject>,
    maps: Api<ConfigMap>,
    moving: MovingList,
    settings: WebhookSettings,
}

impl Configuration {
    pub(super) fn new(client: &Client, moving: MovingList, settings: WebhookSettings) -> Self {
        let kind =
            GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
        Self {
            configurations: Api::all_with(client.clone(), &ApiResource::from_gvk(&kind)),
            maps: Api::namespaced(client.clone(), &settings.namespace),
            moving,
            settings,
        }
    }

    /// Makes it what it has to be. `anew`: writes it in any case when something moves.
    pub(super) async fn sync(
        &self,
        identity: &Identity,
        now: Timestamp,
        anew: bool,
    ) -> Result<Synced, ClusterError> {
        for attempt in 0..ATTEMPTS {
            // The configuration first: whoever stores a move and writes it after that makes this writing fail, which may
            // not know of the move.
            let stored = self.configurations.get_opt(&self.settings.configuration).await;
            let stored = stored.map_err(|error| self.failed(&error, "get"))?;
            let moving = self.moving.readable().await?;
            let anew = anew && !moving.is_empty();
            let known = stored.as_ref().and_then(|stored| stored.metadata.annotations.as_ref()?.get(STAMP));
            let stamp = stamp(known.map(String::as_str), now, anew);
            let wanted = registration::webhooks(&moving, &self.settings, &identity.ca_bundle(), &stamp);
            let outcome = if moving.is_empty() { Synced::Idle } else { Synced::Same };
            let none = json!([]);
            let has = stored.as_ref().map(|stored| stored.data.get("webhooks").unwrap_or(&none));
            if !anew && has.is_some_and(|has| registration::says(has, &wanted)) {
                return Ok(outcome);
            }
            if has.is_none() && moving.is_empty() {
                return Ok(outcome);
            }
            match self.write(stored.as_ref(), &wanted, &stamp).await {
                Ok(()) if moving.is_empty() => return Ok(Synced::Idle),
                Ok(()) => return Ok(Synced::Written { stamp }),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                    sleep(Duration::from_millis(20 << attempt)).await;
                }
                Err(error) => return Err(self.failed(&error, "create and patch")),
            }
        }
        Err(ClusterError::new(
            self.object(),
            format!("another one wrote it before each of {ATTEMPTS} attempts"),
            "see in its managedFields who else writes it",
        ))
    }

    async fn write(
        &self,
        over: Option<&DynamicObject>,
        webhooks: &Value,
        stamp: &str,
    ) -> Result<(), kube::Error> {
        let annotations = json!({STAMP: stamp});
        let Some(over) = over else {
            let new = json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                "metadata": {
                    "name": self.settings.configuration, "annotations": annotations,
                    "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER}
                },
                "webhooks": webhooks
            });
            let new: DynamicObject = serde_json::from_value(new).map_err(kube::Error::SerdeError)?;
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            return self.configurations.create(&params, &new).await.map(drop);
        };
        let patch = json!({
            "metadata": {"resourceVersion": over.metadata.resource_version, "annotations": annotations},
            "webhooks": webhooks
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.configurations
            .patch(&self.settings.configuration, &params, &Patch::Merge(&patch))
            .await
            .map(drop)
    }

    /// Waits until the API server goes by this writing of the configuration, or a later one, and has reached a webhook.
    pub(super) async fn heard(&self, stamp: &str) -> Result<(), ClusterError> {
        let deadline = Instant::now() + HEARD_WITHIN;
        let mut last = "it does not ask the webhook yet".to_owned();
        let mut pause = PROBED_SOON;
        loop {
            match timeout_at(deadline, self.probe()).await {
                Ok(Ok(Some(used))) if later(&used, stamp) => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
                    return Err(ClusterError::new(
                        self.object(),
                        format!("whether it is used cannot be tried: {}", status.message),
                        format!(
                            "let the planner's account patch configmaps in namespace {}",
                            self.settings.namespace
                        ),
                    ));
                }
                Ok(Err(error)) => last = said(&error),
                Err(_) => break,
            }
            if Instant::now() + pause >= deadline {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PROBED_SELDOM);
        }
        Err(ClusterError::new(
            self.object(),
            format!("the API server did not reach the webhook within {} s: {last}", HEARD_WITHIN.as_secs()),
            "let API servers connect to the planner's webhook (firewalls, network policies, its service), at the address \
             that is set",
        ))
    }

    /// A dry run that changes nothing; gives the stamp of the configuration that the API server used for it.
    async fn probe(&self) -> Result<Option<String>, kube::Error> {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        // A change of something, as one of nothing might be spared.
        let patch = json!({"metadata": {"annotations": {"foremesh.dev/probe": "x"}}});
        let map = self.maps.patch(MOVING_NAME, &params, &Patch::Merge(&patch)).await?;
        Ok(map.metadata.annotations.and_then(|mut annotations| annotations.remove(PROBED)))
    }

    fn object(&self) -> String {
        format!("MutatingWebhookConfiguration {}", self.settings.configuration)
    }

    fn failed(&self, error: &kube::Error, verbs: &str) -> ClusterError {
        let name = &self.settings.configuration;
        let rights = format!("{verbs} the mutatingwebhookconfigurations named {name}");
        request_failed(self.object(), error, &rights)
    }
}

/// The stamp of a writing: that of before or, anew, the time and always later than before.
fn stamp(known: Option<&str>, now: Timestamp, anew: bool) -> String {
    match known.and_then(|known| known.parse::<i64>().ok()) {
        Some(known) if !anew => known.to_string(),
        Some(known) => now.unix_ms().max(known.saturating_add(1)).to_string(),
        None => now.unix_ms().to_string(),
    }
}

/// Whether one stamp is as late as another.
fn later(used: &str, stamp: &str) -> bool {
    let ms = |text: &str| text.parse::<i64>().unwrap_or_default();
    ms(used) >= ms(stamp)
}
