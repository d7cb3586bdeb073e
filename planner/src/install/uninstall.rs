//! `foremesh uninstall`: takes the planner and the filter out of a cluster, and leaves it as it was.
mod definitions;
mod found;

use super::NAME;
use crate::{args::UninstallArgs, client};
use anyhow::{Context as _, bail, ensure};
use foremesh_kubernetes::{ClusterSettings, moving::MovingList};
use found::{Found, KINDS, Kind};
use hyper::Method;
use kube::{
    Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};
use tokio::time::{Instant, sleep};

const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Takes it out.
///
/// # Errors
/// When something moves, or something could not be taken away; what is there still then is named.
pub async fn uninstall(args: &UninstallArgs) -> anyhow::Result<ExitCode> {
    let settings = ClusterSettings {
        kubeconfig: args.cluster.kubeconfig.clone(),
        context: args.cluster.context.clone(),
        ..ClusterSettings::default()
    };
    let cluster = Installed {
        client: foremesh_kubernetes::client(&settings).await?,
        namespace: &args.namespace,
        within: args.within.duration(),
        crds: args.crds,
    };
    if args.dry_run {
        let found = cluster.found().await?;
        for found in &found {
            println!("{found}");
        }
        for kept in cluster.kept().await? {
            println!("{kept}");
        }
        return Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) });
    }
    cluster.at_rest(args.abort.then_some(args.server.as_str())).await?;
    cluster.stop().await?;
    // What began while it was being stopped is only taken back by a planner.
    let began = cluster.moving().await?;
    if !began.is_empty() {
        cluster.scale(1).await?;
        bail!(
            "{} began to move meanwhile, so the planner was started again; run this once more",
            began.join(", ")
        );
    }
    cluster.delete_all().await?;
    Ok(ExitCode::SUCCESS)
}

/// A cluster with a planner.
struct Installed<'a> {
    client: Client,
    namespace: &'a str,
    within: Duration,
    /// Whether definitions go with all of their objects.
    crds: bool,
}

impl Installed<'_> {
    /// What would be deleted.
    async fn found(&self) -> anyhow::Result<Vec<Found>> {
        let mut all = Vec::new();
        for kind in KINDS {
            all.extend(kind.found(&self.client, self.namespace).await?);
        }
        all.extend(definitions::relocations(&self.client, self.namespace).await?);
        let definitions = definitions::all(&self.client, self.namespace).await?;
        all.extend(definitions.into_iter().filter(|of| of.goes(self.crds)).map(|of| of.found));
        Ok(all)
    }

    /// What stays, and what would take it away.
    async fn kept(&self) -> anyhow::Result<Vec<String>> {
        let definitions = definitions::all(&self.client, self.namespace).await?;
        Ok(definitions.iter().filter(|of| !of.goes(self.crds)).map(ToString::to_string).collect())
    }

    /// What moves, and what is left of a move: nothing of it may be deleted, because traffic may depend on it.
    async fn moving(&self) -> anyhow::Result<Vec<String>> {
        let list = MovingList::new(self.client.clone(), self.namespace);
        let mut moving: Vec<String> =
            list.all().await?.into_keys().map(|workload| workload.to_string()).collect();
        for kind in found::ROUTES {
            moving.extend(kind.found(&self.client, self.namespace).await?.iter().map(ToString::to_string));
        }
        Ok(moving)
    }

    /// Waits until nothing moves, when it may have that aborted by the planner at an address.
    async fn at_rest(&self, planner: Option<&str>) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.within;
        loop {
            let moving = self.moving().await?;
            let Some(planner) = planner else {
                ensure!(
                    moving.is_empty(),
                    "something is on the move: {}; wait until `foremesh moves` shows none, or give --abort to have it taken back",
                    moving.join(", ")
                );
                return Ok(());
            };
            let aborted = abort_all(planner).await.context("running moves cannot be aborted")?;
            if moving.is_empty() && aborted == 0 {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "still on the move after {:?}: {}; see `foremesh moves`",
                self.within,
                moving.join(", ")
            );
            sleep(ASKED_EVERY).await;
        }
    }

    /// Stops the planner, and waits until its pod is gone.
    async fn stop(&self) -> anyhow::Result<()> {
        if !self.scale(0).await? {
            return Ok(());
        }
        let deadline = Instant::now() + self.within;
        loop {
            let left = found::PODS.found(&self.client, self.namespace).await?;
            let Some(first) = left.first() else { return Ok(()) };
            ensure!(Instant::now() < deadline, "{first} does not end within {:?}", self.within);
            sleep(ASKED_EVERY).await;
        }
    }

    /// Sets the number of planners; false when there is no Deployment.
    async fn scale(&self, replicas: u32) -> anyhow::Result<bool> {
        let patch = json!({"spec": {"replicas": replicas}});
        let params = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
        let api = found::DEPLOYMENTS.api(&self.client, Some(self.namespace));
        match api.patch(NAME, &params, &Patch::Merge(&patch)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error).context("the planner cannot be stopped"),
        }
    }

    /// Deletes what is found, in the order of the kinds, and waits until it is gone.
    async fn delete_all(&self) -> anyhow::Result<()> {
        for kind in KINDS {
            for found in kind.found(&self.client, self.namespace).await? {
                found.delete(&self.client).await?;
                println!("{found} deleted");
            }
        }
        // Nobody is left who would let them go.
        definitions::let_go(&self.client, self.namespace).await?;
        for of in definitions::all(&self.client, self.namespace).await? {
            if of.goes(self.crds) {
                of.found.delete(&self.client).await?;
                println!("{} deleted", of.found);
            } else {
                println!("{of}");
            }
        }
        let deadline = Instant::now() + self.within;
        loop {
            let left = self.found().await?;
            let Some(first) = left.first() else { return Ok(()) };
            ensure!(
                Instant::now() < deadline,
                "{first} is not gone after {:?}; `kubectl describe` may say why",
                self.within
            );
            sleep(ASKED_EVERY).await;
        }
    }
}

/// Has a planner take back all that it moves; says how many moves that are.
async fn abort_all(server: &str) -> anyhow::Result<usize> {
    let answer = client::request(server, Method::GET, "/api/v1/relocations").await?;
    let all = answer["relocations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let running: Vec<&str> =
        all.iter().filter(|of| of["over"] == Value::Bool(false)).filter_map(|of| of["id"].as_str()).collect();
    for id in &running {
        let path = format!("/api/v1/relocations/{id}/abort?by=foremesh%20uninstall&reason=uninstall");
        match client::request(server, Method::POST, &path).await {
            // It has ended meanwhile, or is being taken back already.
            Ok(_) | Err(client::ClientError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(running.len())
}

impl Kind {
    /// Whether its objects are this installation's: those of the filter are in all namespaces.
    fn concerns(&self, object: Option<&str>, planner: &str) -> bool {
        object.is_none_or(|namespace| self.anywhere || namespace == planner)
    }
}
