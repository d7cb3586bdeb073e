//! The staging mesh of a trial: two copies of a workload in a namespace of their own, one on the source's node, one on the
//! candidate.
//!
//! All trials are made in one namespace, one after the other; whoever installs the planner makes it, and the planner neither
//! makes nor deletes any. It works only in one that carries [`STAGING_LABEL`], so that a mistyped name harms nobody. What a
//! trial makes carries [`TRIAL_LABEL`], and is found and deleted by that. The copies are bare pods with a deadline of their
//! own: when no planner ever comes back, the kubelets stop them. What cannot be copied safely is refused, with the reason,
//! before anything is made.
mod api;
mod copies;
mod left;
mod needs;
mod ready;
mod space;
#[cfg(test)]
mod tests;

pub use space::{STAGING_RULES, space};

use crate::ClusterError;
use api::{Api, deployment_path, named, object_path};
use copies::{Seen, copies};
use foremesh_core::ids::{NodeId, ServiceId, WorkloadId};
use needs::{Needs, needs};
use ready::{Progress, progress};
use serde_json::Value;
use space::{MAKE, is_ours, is_prepared};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Label of everything that is made for a trial; its value is the trial's name.
pub const TRIAL_LABEL: &str = "foremesh.dev/trial";
/// Label of a namespace that trials may be made in; its value there is `true`.
pub const STAGING_LABEL: &str = "foremesh.dev/staging";
/// Usual name of that namespace.
pub const STAGING_NAMESPACE: &str = "foremesh-staging";

const POLL: Duration = Duration::from_millis(300);
/// How long a trial's objects may take to go away.
const GONE_WITHIN: Duration = Duration::from_secs(60);
/// How long a pod may be unschedulable: the scheduler may have old news of what has room.
const UNSCHEDULABLE_FOR: Duration = Duration::from_secs(10);

/// What is to be copied, and where to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Name of the trial; the label of what it makes.
    pub id: String,
    /// The Deployment.
    pub workload: WorkloadId,
    /// The service whose port is asked.
    pub service: ServiceId,
    /// Node of one copy.
    pub source: NodeId,
    /// Node of the other.
    pub target: NodeId,
    /// Port of the pods, when it is not the service's.
    pub port: Option<u16>,
    /// Whether the copies may call other services of the workload's namespace.
    pub calls_production: bool,
    /// Whether secrets may be copied.
    pub copy_secrets: bool,
    /// Paths that will be asked for.
    pub paths: Vec<String>,
    /// How long the copies may take until they are ready.
    pub start_within: Duration,
    /// How long they may live at all, whatever becomes of the planner.
    pub lives: Duration,
}

/// Two copies that are ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// The one on the source's node.
    pub source: SocketAddr,
    /// The one on the candidate.
    pub target: SocketAddr,
}

/// Where trials are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagingPlace {
    /// The namespace, which must carry [`STAGING_LABEL`].
    pub namespace: String,
    /// Whether secrets may be copied at all. Without it none is ever asked for, so no right is needed for them.
    pub secrets: bool,
    /// End of services' host names.
    pub domain: String,
}

/// Makes and removes the copies of trials.
#[derive(Clone)]
pub struct Staging {
    production: Api,
    staging: Api,
    place: StagingPlace,
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Staging {
    /// Copies what `production` has into what `staging` reaches: the same cluster, or another one whose nodes are called
    /// alike.
    pub fn new(production: kube::Client, staging: kube::Client, place: StagingPlace) -> Self {
        Self { production: Api::new(production), staging: Api::new(staging), place }
    }

    /// Makes the copies and waits until both are ready. What an interrupted trial of this name left is removed first.
    /// No other trial may go on meanwhile: copies have the names of what they are copies of. The caller calls
    /// [`Self::clear`] whatever comes of it.
    ///
    /// # Errors
    /// Why there are none: a namespace that is not prepared, what cannot be copied, has no room, or does not become ready.
    pub async fn start(&self, wanted: &Wanted) -> Result<Copies, ClusterError> {
        let space = self.prepared().await?;
        let (seen, port) = self.see(wanted, space).await?;
        let objects = copies(&seen, wanted, &self.place.domain).map_err(|why| refused(wanted, &why))?;
        self.make_room(&wanted.id).await?;
        let deadline = Instant::now() + wanted.start_within;
        for (path, object) in &objects {
            self.staging.create(path, object).await?;
        }
        self.ready(wanted, port, deadline).await
    }

    /// Looks whether trials can be made: the namespace is there, is ours, and keeps copies in.
    ///
    /// # Errors
    /// What is missing, and how it is made.
    pub async fn check(&self) -> Result<(), ClusterError> {
        self.prepared().await.map(drop)
    }

    /// The namespace, when it is there and prepared.
    async fn prepared(&self) -> Result<Value, ClusterError> {
        let at = self.place.namespace.as_str();
        let refused = |why: String| ClusterError::new(self.name(), why, MAKE);
        let namespace = self.staging.get(&self.path()).await.map_err(|error| {
            // Who may see it by a role in it may not see that it is not there.
            refused(format!("it is not there, or cannot be read: {}", error.problem))
        })?;
        let namespace = namespace.ok_or_else(|| refused("it is not there".to_owned()))?;
        is_ours(&namespace).map_err(refused)?;
        let rule = async |group: &str, plural: &str| {
            self.staging.get(&object_path(group, plural, Some(at), STAGING_RULES)).await
        };
        let tls = rule("security.istio.io", "peerauthentications").await?.unwrap_or_default();
        let sidecar = rule("networking.istio.io", "sidecars").await?.unwrap_or_default();
        is_prepared(&namespace, &tls, &sidecar).map_err(refused)?;
        Ok(namespace)
    }

    fn path(&self) -> String {
        object_path("", "namespaces", None, &self.place.namespace)
    }

    fn name(&self) -> String {
        format!("staging namespace {} (`platform.kubernetes.staging.namespace`)", self.place.namespace)
    }

    /// All of production that the copies are made of, and the port that is asked.
    async fn see(&self, wanted: &Wanted, space: Value) -> Result<(Seen, u16), ClusterError> {
        let (namespace, name) =
            named(&wanted.workload).ok_or_else(|| refused(wanted, "only Deployments can be copied"))?;
        let deployment = self.production.get(&deployment_path(namespace, name)).await?;
        let deployment = deployment.ok_or_else(|| refused(wanted, "there is no such Deployment"))?;
        let template = &deployment["spec"]["template"];
        let Needs { config_maps, secrets } = needs(template).map_err(|why| refused(wanted, &why))?;
        if let Some(secret) = secrets.keys().next().filter(|_| !wanted.copy_secrets) {
            let why = format!(
                "its pods need the secret {secret}, and the policy's trial does not say `copySecrets: true`"
            );
            return Err(refused(wanted, &why));
        }
        if let Some(secret) = secrets.keys().next().filter(|_| !self.place.secrets) {
            let why = format!(
                "its pods need the secret {secret}, and the planner's settings do not say \
                 `platform.kubernetes.staging.copySecrets: true` (`foremesh install planner --trials-with-secrets`)"
            );
            return Err(refused(wanted, &why));
        }
        let services = self.production.list(&format!("/api/v1/namespaces/{namespace}/services"), "").await?;
        let port = match wanted.port {
            Some(port) => port,
            None => ready::port(template, &services, &wanted.service).map_err(|why| refused(wanted, &why))?,
        };
        let own = self.production.get(&object_path("", "namespaces", None, namespace)).await?;
        let seen = Seen {
            space,
            labels: own.map(|mut own| own["metadata"]["labels"].take()).unwrap_or_default(),
            config_maps: self.data(wanted, namespace, "configmaps", &config_maps).await?,
            secrets: self.data(wanted, namespace, "secrets", &secrets).await?,
            services,
            deployment,
        };
        Ok((seen, port))
    }

    /// Objects by name; the value says whether a pod starts without it.
    async fn data(
        &self,
        wanted: &Wanted,
        namespace: &str,
        plural: &str,
        names: &BTreeMap<String, bool>,
    ) -> Result<Vec<Value>, ClusterError> {
        let mut found = Vec::new();
        for (name, optional) in names {
            match self.production.get(&object_path("", plural, Some(namespace), name)).await? {
                Some(object) => found.push(object),
                None if *optional => {}
                None => {
                    let why = format!("its pods need {name} of its namespace's {plural}, which is not there");
                    return Err(refused(wanted, &why));
                }
            }
        }
        Ok(found)
    }

    async fn ready(&self, wanted: &Wanted, port: u16, deadline: Instant) -> Result<Copies, ClusterError> {
        let pods_path = format!("/api/v1/namespaces/{}/pods", self.place.namespace);
        let of_trial = format!("{TRIAL_LABEL}={}", label_of(&wanted.id));
        let begun = Instant::now();
        loop {
            let pods = self.staging.list(&pods_path, &of_trial).await?;
            let ends = [("source", &wanted.source), ("target", &wanted.target)]
                .map(|(end, node)| progress(&pods, end, node.as_str()));
            let mut waits = Vec::new();
            let mut at: Vec<IpAddr> = Vec::new();
            for end in ends {
                match end {
                    Progress::Ready(ip) => at.push(ip),
                    Progress::Waits(why) => waits.push(why),
                    Progress::NoRoom(why) if begun.elapsed() < UNSCHEDULABLE_FOR => waits.push(why),
                    Progress::NoRoom(why) | Progress::Failed(why) => return Err(refused(wanted, &why)),
                }
            }
            if let [source, target] = at[..] {
                return Ok(Copies {
                    source: SocketAddr::new(source, port),
                    target: SocketAddr::new(target, port),
                });
            }
            if Instant::now() > deadline {
                let why = format!("{} after {} s", waits.join("; "), wanted.start_within.as_secs());
                return Err(refused(wanted, &why));
            }
            sleep(POLL).await;
        }
    }
}

/// The value of the label.
fn label_of(id: &str) -> String {
    let kept = id.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' });
    kept.take(63).collect::<String>().trim_matches(['-', '_', '.']).to_owned()
}

fn refused(wanted: &Wanted, why: &str) -> ClusterError {
    let object = format!("trial of `{}`", wanted.workload);
    ClusterError::new(object, why, "change that, or waive the trial in the policy")
}
