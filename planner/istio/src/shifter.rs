//! Carries the writes out.
use crate::{
    Goal, Host, IstioError, Kind, Location, Objects, Proxies, Reason, Shares, Write,
    api::{Api, Written},
    check::Found,
    objects::{list, name, namespace, text},
    pods,
    proxies::Expected,
    route,
    steps::in_force,
};
use foremesh_core::ids::{ReplicaId, ServiceId};
use foremesh_kubernetes::mesh::Index;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Writes that were overtaken by somebody else's, before it is given up.
const OVERTAKEN: u32 = 20;
/// Now and then a control plane pushes what it has in its cache, although a route has changed: seen with istiod once in
/// about 60 writes while pods came and went. The next change of the route heals it, so one is made when a push takes much
/// longer than it should.
const PUSHED_WITHIN: Duration = Duration::from_secs(4);
/// More steps than any host needs.
const STEPS: u32 = 1_000;

/// How the traffic of a service is shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The weights in force: 100 for each ready replica where nothing is split.
    pub weights: BTreeMap<ReplicaId, u32>,
    /// The routes of a move give traffic to none of the pods that are ready, although there are some.
    pub starves: bool,
}

/// Shares out a service's traffic between its replicas by the objects of Istio. It remembers nothing: what is in force is
/// in the objects.
#[derive(Clone)]
pub struct Shifter {
    api: Api,
    proxies: Proxies,
}

impl std::fmt::Debug for Shifter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shifter").field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

impl Shifter {
    /// Through a client.
    pub fn new(client: kube::Client, proxies: Proxies) -> Self {
        Self { api: Api::new(client), proxies }
    }

    /// Reads only what the index says is about a service, instead of all routes and rules of the mesh.
    #[must_use]
    pub fn with_index(self, index: Arc<dyn Index>) -> Self {
        Self { api: self.api.with_index(index), ..self }
    }

    /// How the traffic of a service is shared out now.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn traffic(&self, service: &ServiceId) -> Result<Traffic, IstioError> {
        let host = Host::of(service)?;
        let (pods, objects) = tokio::try_join!(self.api.pods(&host), self.api.objects_of(&host))?;
        let shares = in_force(&objects, &host);
        let weights = pods::weights(&pods, shares.as_ref());
        let nobody = shares.is_some() && weights.values().all(|weight| *weight == 0);
        Ok(Traffic { starves: nobody && pods.iter().any(pods::is_ready), weights })
    }

    /// Why the traffic of a service cannot be split, before anything is done: by all objects of the mesh, as they are stored.
    ///
    /// # Errors
    /// The reason.
    pub async fn check(&self, service: &ServiceId) -> Result<(), IstioError> {
        let host = Host::of(service)?;
        crate::check::check(&self.api.objects().await?, &host)
    }

    /// Puts weights in force and waits until the proxies have them. Pods without a location get one first: `source`
    /// the replica that is given up, `stay` the others. Its name may be left out where only one replica is without a
    /// location, or only one of them has less than the others.
    ///
    /// # Errors
    /// When it cannot be split, nobody would get traffic, somebody else took it back, or the proxies do not have it in time.
    pub async fn set_weights(
        &self,
        service: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
        source: Option<&ReplicaId>,
    ) -> Result<(), IstioError> {
        let host = Host::of(service)?;
        // Before anything is written, also before a label is.
        let objects = self.api.objects_of(&host).await?;
        crate::check::check(&objects, &host)?;
        let before = in_force(&objects, &host);
        let found = self.located(&host, weights, source).await?;
        let shares = pods::shares(&found, weights, &host)?;
        let goal = Goal::Split(shares.clone());
        let expected = routes(&self.carry(&host, &goal).await?, &host);
        let Some(before) = before.filter(|before| *before != shares) else {
            return self.proxies.have(&host, &expected).await;
        };
        match self.proxies.have_within(&host, &expected, PUSHED_WITHIN).await {
            Err(error) if error.reason == Reason::NotPropagated => {
                tracing::warn!(host = host.full, %error, "the weights are written once more, so that they are pushed again");
                self.carry(&host, &Goal::Split(before)).await?;
                self.carry(&host, &goal).await?;
                self.proxies.have(&host, &expected).await
            }
            had => had,
        }
    }

    /// Takes everything back that was only there for the move, the labels last.
    ///
    /// # Errors
    /// When the API server or the control plane cannot be asked, or the proxies still route by the subsets.
    pub async fn restore(&self, service: &ServiceId) -> Result<(), IstioError> {
        let host = Host::of(service)?;
        self.carry(&host, &Goal::Restored).await?;
        for pod in self.api.pods(&host).await? {
            if pods::location(&pod).is_some() {
                // One that is gone needs nothing.
                self.api.label(&pod, None).await?;
            }
        }
        Ok(())
    }

    /// Those of some services whose routes or rules hold something of a move.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn changed(&self, of: &BTreeSet<ServiceId>) -> Result<BTreeSet<ServiceId>, IstioError> {
        Ok(changed(&self.api.objects().await?, of))
    }

    /// The pods of a service, each with a location.
    async fn located(
        &self,
        host: &Host,
        weights: &BTreeMap<ReplicaId, u32>,
        source: Option<&ReplicaId>,
    ) -> Result<Vec<Value>, IstioError> {
        for _ in 0..OVERTAKEN {
            let found = self.api.pods(host).await?;
            let missing = pods::assign(&found, weights, source, host)?;
            if missing.is_empty() {
                return Ok(found);
            }
            for (pod, location) in missing {
                // Whether it was overtaken is seen when they are read again.
                self.api.label(pod, Some(location.as_str())).await?;
            }
        }
        Err(busy(host, "pods"))
    }

    /// Gives the objects with which nothing is left to be written.
    async fn carry(&self, host: &Host, goal: &Goal) -> Result<Objects, IstioError> {
        let (mut overtaken, mut safe) = (0, false);
        for _ in 0..STEPS {
            let objects = self.api.objects_of(host).await?;
            let Some(write) = goal.next(&objects, host)? else { return Ok(objects) };
            if !safe && needs_barrier(goal, &write, &objects, host) {
                self.barrier(goal, &objects, host).await?;
                safe = true;
                // It took a while.
                continue;
            }
            match self.api.write(&write).await? {
                Written::Stored => {}
                Written::Overtaken => overtaken += 1,
            }
            if overtaken > OVERTAKEN {
                break;
            }
        }
        Err(busy(host, "routes and rules"))
    }

    /// Before a route by subsets the proxies have their endpoints; before subsets go no proxy routes by them.
    async fn barrier(&self, goal: &Goal, objects: &Objects, host: &Host) -> Result<(), IstioError> {
        let Goal::Split(shares) = goal else {
            return self.proxies.have(host, &routes(objects, host)).await;
        };
        let pods = self.api.pods(host).await?;
        let expected = Expected::Endpoints(filled(objects, host, shares, &pods)?);
        self.proxies.have(host, &expected).await
    }
}

/// The services that objects say they were changed for.
pub(crate) fn changed(objects: &Objects, of: &BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
    let all = objects.virtual_services.iter().chain(&objects.destination_rules);
    let said: Vec<(String, &str)> =
        all.filter_map(|object| Some((crate::record::of(object)?.host, namespace(object)))).collect();
    let is_said = |service: &&ServiceId| {
        let host = Host::of(service);
        host.is_ok_and(|host| said.iter().any(|(name, within)| host.is(name, within)))
    };
    of.iter().filter(is_said).cloned().collect()
}

fn busy(host: &Host, what: &str) -> IstioError {
    IstioError::new(
        Reason::Busy,
        format!("{what} of service {}", host.full),
        "somebody else changes them all the time",
        "see who writes them, then try again",
    )
}

/// Whether proxies must have what is there before this write is done.
fn needs_barrier(goal: &Goal, write: &Write, objects: &Objects, host: &Host) -> bool {
    match (goal, write.kind()) {
        (Goal::Split(shares), Kind::VirtualService) => {
            // A location that has traffic already has endpoints.
            let now = in_force(objects, host).unwrap_or_default();
            shares.iter().any(|(at, share)| *share > 0 && now.get(at).is_none_or(|now| *now == 0))
        }
        (Goal::Restored, Kind::DestinationRule) => {
            // The first write on the way out only takes a note away.
            let found = Found::of(objects, host);
            found.rule.and_then(crate::record::of).is_some_and(|record| !record.routed)
        }
        _ => false,
    }
}

/// The subsets that will get traffic and must have endpoints, each with the addresses that must not come first in it.
fn filled(
    objects: &Objects,
    host: &Host,
    shares: &Shares,
    pods: &[Value],
) -> Result<BTreeMap<String, BTreeSet<String>>, IstioError> {
    let found = Found::of(objects, host);
    let subsets = found.rule.map(|rule| list(rule, "/spec/subsets")).unwrap_or_default();
    let matches = |pod: &Value, labels: &Value, at: Option<Location>| {
        let labels = labels.as_object().into_iter().flatten();
        let mut labels = labels.filter(|(key, _)| *key != crate::LOCATION_LABEL);
        labels.all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
            && at.is_none_or(|at| pods::location(pod) == Some(at) && pods::is_ready(pod))
    };
    let elsewhere = |at: Location| {
        let others = pods.iter().filter(|pod| pods::location(pod) != Some(at));
        others.filter_map(|pod| pod["status"]["podIP"].as_str()).map(str::to_owned).collect()
    };
    let mut filled = BTreeMap::new();
    for subset in subsets {
        let Some(at) = found.ours.location(name_of(subset)) else { continue };
        if shares.get(&at).is_none_or(|share| *share == 0) {
            continue;
        }
        if !pods.iter().any(|pod| matches(pod, &subset["labels"], None)) {
            // The user's subset has no pods: its requests fail with or without us.
            continue;
        }
        if !pods.iter().any(|pod| matches(pod, &subset["labels"], Some(at))) {
            let names: Vec<&str> =
                pods.iter().filter(|pod| pods::location(pod) == Some(at)).map(name).collect();
            return Err(IstioError::new(
                Reason::Weights,
                format!("subset {} of {}", name_of(subset), host.full),
                format!("it is to get traffic and no ready pod is in it (at this location: {names:?})"),
                "wait until the replica is ready; all replicas of a moving workload need the labels of its subsets",
            ));
        }
        filled.insert(name_of(subset).to_owned(), elsewhere(at));
    }
    Ok(filled)
}

fn name_of(subset: &Value) -> &str {
    text(subset, "/name")
}

/// What proxies have when they have these routes.
fn routes(objects: &Objects, host: &Host) -> Expected {
    let found = Found::of(objects, host);
    let parts = found.routes.iter().flat_map(|object| route::parts(object, host, &found.ours)).collect();
    Expected::Routes { parts, ours: found.ours.names() }
}
