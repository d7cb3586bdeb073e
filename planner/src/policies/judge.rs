//! Which policies of a cluster are in force, and why the others are not. No IO: what is stored is an argument.
//!
//! What is not accepted moves nothing. Where an accepted policy is edited to one that is not, the one that was accepted last
//! goes on in mode `observe`: its services are still looked at and shown. The same holds for all of them while it is not known
//! what the cluster has.
use super::{Confined, check_horizon, checked};
use crate::{causes::chain, kubernetes::acceptance::Acceptance, settings::Span};
use foremesh_core::{
    document::{API_VERSION, Metadata, SpecProblem},
    ids::PolicyId,
    policy::{
        Mode, PolicyDocument, RelocationPolicy, ServiceGlob,
        spec::{KIND, PolicySpec},
    },
};
use foremesh_kubernetes::resources::Stored;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What policies of a cluster are judged by.
#[derive(Clone, Debug)]
pub struct Judging {
    /// How far forecasts look.
    pub horizon: Span,
    /// The planner's own namespace, whose policies may be about services of any; none when it is not known.
    pub namespace: Option<String>,
    /// Domain of the cluster, the end of its services' host names.
    pub domain: String,
    /// Names of the policies of files, which come first.
    pub taken: BTreeSet<PolicyId>,
}

/// A stored policy, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// As it is stored.
    pub stored: Arc<Stored>,
    /// In force, or why not.
    pub policy: Result<RelocationPolicy, Acceptance>,
}

/// The name that a stored policy goes by: no file can have taken it without meaning it.
pub fn id_of(stored: &Stored) -> PolicyId {
    PolicyId::new(format!("{}/{}", stored.namespace, stored.name))
}

/// What becomes of one policy.
pub fn judge(stored: &Arc<Stored>, judging: &Judging) -> Judged {
    Judged { stored: Arc::clone(stored), policy: read(stored, judging) }
}

fn read(stored: &Stored, judging: &Judging) -> Result<RelocationPolicy, Acceptance> {
    let id = id_of(stored);
    if judging.taken.contains(&id) {
        let message =
            format!("a file of the planner has a policy of the name `{id}`; give one of them another name");
        return Err(Acceptance::no("NameTaken", message));
    }
    let spec: PolicySpec = serde_json::from_value(stored.spec.clone())
        .map_err(|error| Acceptance::no("Unreadable", format!("spec cannot be read: {error}")))?;
    let document = PolicyDocument {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata { name: id.to_string(), labels: BTreeMap::new(), annotations: BTreeMap::new() },
        spec,
    };
    let mut policy = checked(&document).map_err(|problems| Acceptance::problems(&problems))?;
    if judging.namespace.as_ref() != Some(&stored.namespace) {
        let confined = Confined { namespace: &stored.namespace, domain: &judging.domain };
        policy.services =
            confine(&policy.services, &confined).map_err(|problems| Acceptance::problems(&problems))?;
    }
    check_horizon(&policy, judging.horizon)
        .map_err(|error| Acceptance::no("BeyondHorizon", chain(&error)))?;
    Ok(policy)
}

fn confine(globs: &[ServiceGlob], to: &Confined<'_>) -> Result<Vec<ServiceGlob>, Vec<SpecProblem>> {
    let (mut confined, mut problems) = (Vec::new(), Vec::new());
    for (index, glob) in globs.iter().enumerate() {
        match to.service(&format!("spec.selector.services[{index}]"), glob.as_str()) {
            Ok(pattern) => confined.push(ServiceGlob::new(pattern)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(confined) } else { Err(problems) }
}

/// Policies as they were accepted last, by their names.
pub type Accepted = BTreeMap<PolicyId, RelocationPolicy>;

/// What is in force of these, when `accepted` is what was accepted before; that is brought up to date.
pub fn in_force(judged: &[Judged], accepted: &mut Accepted) -> Vec<RelocationPolicy> {
    let mut before = std::mem::take(accepted);
    let mut policies = Vec::new();
    for one in judged.iter().filter(|one| !one.stored.terminating) {
        let id = id_of(&one.stored);
        match &one.policy {
            Ok(policy) => {
                accepted.insert(id, policy.clone());
                policies.push(policy.clone());
            }
            Err(_) => {
                if let Some(policy) = before.remove(&id) {
                    policies.push(observed(&policy));
                    accepted.insert(id, policy);
                }
            }
        }
    }
    policies
}

/// What is in force while it is not known what the cluster has.
pub fn while_unknown(accepted: &Accepted) -> Vec<RelocationPolicy> {
    accepted.values().map(observed).collect()
}

fn observed(policy: &RelocationPolicy) -> RelocationPolicy {
    RelocationPolicy { mode: Mode::Observe, ..policy.clone() }
}

#[cfg(test)]
mod tests;
