//! The definitions of the custom resources: they go when none of their objects are left.
//!
//! Relocations are the planner's own records and go with it. Policies and calendars are written by people, and stay unless
//! somebody says otherwise.
use super::found::{DEFINITIONS, Found, RELOCATIONS};
use anyhow::Context as _;
use foremesh_kubernetes::resources::{
    GROUP, VERSION,
    relocation::{self, Store, StoreError},
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};
use std::{collections::BTreeMap, fmt};

/// How many objects are named.
const NAMED: usize = 3;

/// A definition, and what uses it.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) found: Found,
    left: Vec<String>,
}

impl Definition {
    /// Whether it goes; with all objects when `all` are meant.
    pub(super) const fn goes(&self, all: bool) -> bool {
        all || self.left.is_empty()
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.left.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if self.left.len() > NAMED { ", ..." } else { "" };
        let (found, count) = (&self.found, self.left.len());
        write!(
            f,
            "{found} stays, as {count} of its objects are there ({named}{more}); `foremesh uninstall --crds` deletes it with them"
        )
    }
}

/// Moves that this planner has shown.
pub(super) async fn relocations(client: &Client, planner: &str) -> anyhow::Result<Vec<Found>> {
    RELOCATIONS.labelled(client, planner, planner).await
}

/// Takes the finalizers of this planner's Relocations away and deletes them. To be called when no planner runs any more.
pub(super) async fn let_go(client: &Client, planner: &str) -> anyhow::Result<()> {
    let store = Store::new(client.clone(), planner, "foremesh uninstall");
    let all = match store.found().await {
        Ok(all) => all,
        Err(StoreError::Missing) => return Ok(()),
        Err(error) => return Err(error).context("the Relocations of the cluster cannot be listed"),
    };
    for found in &all {
        let name = || format!("Relocation {} of {} cannot be deleted", found.name, found.namespace);
        if found.is_held {
            store.let_go(found).await.with_context(name)?;
        }
        store.delete(found).await.with_context(name)?;
        println!("relocations.{GROUP}/{} of {} deleted", found.name, found.namespace);
    }
    Ok(())
}

/// The definitions that carry our label.
pub(super) async fn all(client: &Client, planner: &str) -> anyhow::Result<Vec<Definition>> {
    let mut all = Vec::new();
    for found in DEFINITIONS.found(client, planner).await? {
        let Some(plural) = found.name().strip_suffix(&format!(".{GROUP}")) else { continue };
        let kind = GroupVersionKind::gvk(GROUP, VERSION, plural);
        let objects: Api<DynamicObject> =
            Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural));
        let list = match objects.list_metadata(&ListParams::default()).await {
            Ok(list) => list.items,
            // It is on its way out.
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => {
                return Err(error).context(format!("the {plural} of the cluster cannot be listed"));
            }
        };
        // Its own records go with it.
        let own = |labels: &BTreeMap<String, String>| {
            plural == relocation::PLURAL && labels.get(relocation::PLANNER).is_some_and(|of| of == planner)
        };
        let metas = list.into_iter().map(|object| object.metadata);
        let left = metas
            .filter(|meta| !meta.labels.as_ref().is_some_and(own))
            .map(|meta| format!("{}/{}", meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default()));
        all.push(Definition { left: left.collect(), found });
    }
    Ok(all)
}
