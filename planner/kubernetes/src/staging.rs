//! The staging mesh of a trial: two copies of a workload in a namespace of their own, one on the source's node, one on the
//! candidate.
//!
//! Each trial has its own namespace, so that one delete takes all of it away, and nothing of production selects anything
//! in it. The copies are bare pods with a deadline of their own: when no planner ever comes back, the kubelets stop them.
//! What cannot be copied safely is refused, with the reason, before anything is made.
mod api;
mod copies;
mod needs;
mod ready;
#[cfg(test)]
mod tests;

use crate::ClusterError;
use api::{Api, deployment_path, named, object_path};
use copies::{Seen, copies};
use foremesh_core::ids::{NodeId, ServiceId, WorkloadId};
use needs::{Needs, needs};
use ready::{Progress, progress};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Label of everything that is made for a trial; its value is the trial's name.
pub const TRIAL_LABEL: &str = "foremesh.dev/trial";

const POLL: Duration = Duration::from_millis(300);
/// How long the cluster may take to give a new namespace what pods need: a service account, the mesh's root certificate.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);
/// How long a namespace may take to go away.
const GONE_WITHIN: Duration = Duration::from_secs(90);
/// How long a pod may be unschedulable: the scheduler may not have heard of the namespace yet.
const UNSCHEDULABLE_FOR: Duration = Duration::from_secs(10);

/// What is to be copied, and where to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Name of the trial; the namespace is called after it.
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

/// Makes and removes the copies of trials.
#[derive(Clone)]
pub struct Staging {
    production: Api,
    staging: Api,
    domain: String,
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Staging {
    /// Copies what `production` has into what `staging` reaches: the same cluster, or another one whose nodes are called
    /// alike. `domain` is the end of services' host names.
    pub fn new(production: kube::Client, staging: kube::Client, domain: impl Into<String>) -> Self {
        Self { production: Api::new(production), staging: Api::new(staging), domain: domain.into() }
    }

    /// Makes the copies and waits until both are ready. What an interrupted trial of this name left is removed first.
    /// The caller calls [`Self::clear`] whatever comes of it.
    ///
    /// # Errors
    /// Why there are none: what cannot be copied, has no room, or does not become ready.
    pub async fn start(&self, wanted: &Wanted) -> Result<Copies, ClusterError> {
        let (seen, port) = self.see(wanted).await?;
        let objects = copies(&seen, wanted, &self.domain).map_err(|why| refused(wanted, &why))?;
        self.clear(&wanted.id).await?;
        let deadline = Instant::now() + wanted.start_within;
        let settled = Instant::now() + SETTLED_WITHIN;
        for (path, object) in &objects {
            // A namespace has its service account a moment after it is there.
            while let Err(error) = self.staging.create(path, object).await {
                if !error.is_early || Instant::now() > settled {
                    return Err(error.into());
                }
                sleep(POLL).await;
            }
        }
        self.ready(wanted, port, deadline).await
    }

    /// Removes everything of a trial, and waits until it is gone. Is content when there is nothing.
    ///
    /// # Errors
    /// When it could not be removed, or is still there after a minute and a half.
    pub async fn clear(&self, id: &str) -> Result<(), ClusterError> {
        let namespace = namespace_of(id);
        let path = object_path("", "namespaces", None, &namespace);
        let Some(found) = self.staging.get(&path).await? else { return Ok(()) };
        if found["metadata"]["labels"][TRIAL_LABEL] != label_of(id) {
            let problem = format!("it is there without the label {TRIAL_LABEL}, so it is somebody else's");
            let remedy = "remove it by hand, or give it another name";
            return Err(ClusterError::new(format!("namespace {namespace}"), problem, remedy));
        }
        self.staging.delete(&path).await?;
        let deadline = Instant::now() + GONE_WITHIN;
        while let Some(found) = self.staging.get(&path).await? {
            if Instant::now() > deadline {
                let object = format!("namespace {namespace}");
                let why = said_of(&found, "conditions").unwrap_or_default();
                let problem = format!("it is still there after {} s: {why}", GONE_WITHIN.as_secs());
                let remedy =
                    "see what holds it with `kubectl get namespace -o yaml`; its pods stop by themselves";
                return Err(ClusterError::new(object, problem, remedy));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Removes what every trial left. To be called before any trial is made, when the planner starts. Returns the names of
    /// what was removed.
    ///
    /// # Errors
    /// When it cannot be looked, or something cannot be removed.
    pub async fn sweep(&self) -> Result<Vec<String>, ClusterError> {
        let left = self.staging.list("/api/v1/namespaces", TRIAL_LABEL).await?;
        let mut swept = Vec::new();
        for namespace in left {
            let Some(name) = namespace["metadata"]["name"].as_str() else { continue };
            if !namespace["metadata"]["labels"][TRIAL_LABEL].is_string() {
                continue;
            }
            let path = object_path("", "namespaces", None, name);
            self.staging.delete(&path).await?;
            swept.push((name.to_owned(), path));
        }
        let deadline = Instant::now() + GONE_WITHIN;
        for (name, path) in &swept {
            while self.staging.get(path).await?.is_some() {
                if Instant::now() > deadline {
                    let problem = "it is still there after it was deleted";
                    let remedy = "see what holds it with `kubectl get namespace -o yaml`";
                    return Err(ClusterError::new(format!("namespace {name}"), problem, remedy));
                }
                sleep(POLL).await;
            }
        }
        Ok(swept.into_iter().map(|(name, _)| name).collect())
    }

    /// All of production that the copies are made of, and the port that is asked.
    async fn see(&self, wanted: &Wanted) -> Result<(Seen, u16), ClusterError> {
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
        let services = self.production.list(&format!("/api/v1/namespaces/{namespace}/services"), "").await?;
        let port = match wanted.port {
            Some(port) => port,
            None => ready::port(template, &services, &wanted.service).map_err(|why| refused(wanted, &why))?,
        };
        let own = self.production.get(&object_path("", "namespaces", None, namespace)).await?;
        let seen = Seen {
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
        let namespace = namespace_of(&wanted.id);
        let pods_path = format!("/api/v1/namespaces/{namespace}/pods");
        let begun = Instant::now();
        loop {
            let pods = self.staging.list(&pods_path, TRIAL_LABEL).await?;
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

/// The namespace of a trial.
fn namespace_of(id: &str) -> String {
    let name: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.to_ascii_lowercase();
    format!("foremesh-trial-{}", &name[..name.len().min(48)]).trim_end_matches('-').to_owned()
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

/// What the last of an object's conditions says.
fn said_of(object: &Value, conditions: &str) -> Option<String> {
    let mut messages = object["status"][conditions].as_array()?.iter().filter_map(|c| c["message"].as_str());
    messages.next_back().map(str::to_owned)
}
