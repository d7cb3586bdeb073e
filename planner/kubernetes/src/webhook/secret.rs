//! The Secret by which all planners of a cluster have the same certificate: the first one to write it wins.
use super::{
    WEBHOOK_SECRET,
    identity::{Facts, Identity},
};
use crate::{ClusterError, error::request_failed};
use foremesh_core::time::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use rustls::crypto::CryptoProvider;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const FIELD_MANAGER: &str = "foremesh";
const ATTEMPTS: u32 = 5;

/// Names of the Secret's entries; the first two are those of every Secret of its type.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// For humans.
const AUTHORITIES: &str = "ca.crt";
const FACTS: &str = "facts.json";

/// The stored identity.
pub(super) struct SharedIdentity {
    secrets: Api<Secret>,
    namespace: String,
    provider: Arc<CryptoProvider>,
}

impl SharedIdentity {
    pub(super) fn new(client: Client, namespace: &str, provider: Arc<CryptoProvider>) -> Self {
        Self { secrets: Api::namespaced(client, namespace), namespace: namespace.to_owned(), provider }
    }

    /// The identity to serve with: the stored one or, when that is due or cannot be used, a new one that is stored.
    pub(super) async fn current(
        &self,
        hosts: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Identity, ClusterError> {
        for _ in 0..ATTEMPTS {
            let secret =
                self.secrets.get_opt(WEBHOOK_SECRET).await.map_err(|error| self.failed(&error, "get"))?;
            let stored = secret.as_ref().and_then(|secret| self.read(secret));
            match stored {
                Some(stored) if !stored.is_due(hosts, now) => return Ok(stored),
                stored => {
                    let new = Identity::issue(hosts, now, stored.as_ref().map(|stored| &stored.facts))?;
                    match self.write(&new, secret.as_ref()).await {
                        Ok(()) => return Ok(new),
                        // Another one was first, and has made one for all.
                        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                        Err(error) => return Err(self.failed(&error, "create and patch")),
                    }
                }
            }
        }
        Err(ClusterError::new(
            self.object(),
            format!("another one wrote it before each of {ATTEMPTS} attempts"),
            "give all planners the same address of the webhook, and see in its managedFields who else writes it",
        ))
    }

    /// What is stored, when it can be served with. Whatever else is there is replaced.
    fn read(&self, secret: &Secret) -> Option<Identity> {
        let data = secret.data.as_ref()?;
        let text = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
        let facts: Facts = serde_json::from_str(&text(FACTS)?).ok()?;
        let identity = Identity { certificate: text(CERTIFICATE)?, key: text(KEY)?, facts };
        match identity.certified(&self.provider) {
            Ok(_) => Some(identity),
            Err(error) => {
                tracing::warn!(%error, secret = self.object(), "the stored certificate cannot be used and is replaced");
                None
            }
        }
    }

    async fn write(&self, identity: &Identity, over: Option<&Secret>) -> Result<(), kube::Error> {
        let facts = serde_json::to_string(&identity.facts).map_err(kube::Error::SerdeError)?;
        let data: BTreeMap<String, ByteString> = [
            (CERTIFICATE, identity.certificate.clone()),
            (KEY, identity.key.clone()),
            (AUTHORITIES, identity.authorities()),
            (FACTS, facts),
        ]
        .map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())))
        .into();
        let Some(over) = over else {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(WEBHOOK_SECRET.to_owned()),
                    labels: Some([("app.kubernetes.io/managed-by".into(), FIELD_MANAGER.into())].into()),
                    ..ObjectMeta::default()
                },
                type_: Some("kubernetes.io/tls".to_owned()),
                data: Some(data),
                ..Secret::default()
            };
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            return self.secrets.create(&params, &secret).await.map(drop);
        };
        let version = over.metadata.resource_version.as_deref();
        let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.secrets.patch(WEBHOOK_SECRET, &params, &Patch::Merge(&patch)).await.map(drop)
    }

    fn object(&self) -> String {
        format!("Secret {}/{WEBHOOK_SECRET}", self.namespace)
    }

    fn failed(&self, error: &kube::Error, verbs: &str) -> ClusterError {
        let rights = format!("{verbs} secrets in namespace {}", self.namespace);
        request_failed(self.object(), error, &rights)
    }
}
