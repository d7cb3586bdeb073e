//! What decides the next step of a move: a Deployment, its pods and its autoscalers as they were at one moment.
use super::trouble;
use crate::{
    objects::{self, Keep},
    webhook::{COST_ANNOTATION, LOCATION_LABEL},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything of one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// `None` when there is no such Deployment.
    pub(super) deployment: Option<Deployment>,
    /// Autoscalers that have it as their target, ordered by name.
    pub(super) scalers: Vec<Scaler>,
    /// Pods that have not ended, ordered by name; those that are ending as well.
    pub(super) pods: Vec<Pod>,
}

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Deployment {
    /// The version that a change names.
    pub(super) version: String,
    /// Replicas that it is told to have.
    pub(super) wanted: u32,
    /// Nobody else is known to have written that number last.
    pub(super) ours: bool,
    pub(super) terminating: bool,
    /// What its own status says is under way.
    pub(super) changing: Option<String>,
    /// Why it can make no more pods, when it says so.
    pub(super) failure: Option<String>,
    /// The cost of deletion that its template gives to pods.
    pub(super) cost: Option<String>,
}

/// A horizontal autoscaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Scaler {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) min: u32,
    /// Nobody else is known to have written that number last.
    pub(super) ours: bool,
    pub(super) max: u32,
    /// How many replicas it wants; `None` when it does not know, because it cannot measure.
    pub(super) desired: Option<u32>,
    /// Who controls it, as `KIND NAME`.
    pub(super) owner: Option<String>,
}

/// A pod of the Deployment.
#[expect(clippy::struct_excessive_bools, reason = "they are the API's own, and independent of one another")]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    /// Empty until it is bound to one.
    pub(super) node: String,
    pub(super) created: String,
    /// It is of the newest version.
    pub(super) current: bool,
    pub(super) terminating: bool,
    pub(super) phase: Phase,
    /// All of its containers run.
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) location: Option<String>,
    /// Its annotation, as it is written.
    pub(super) cost: Option<String>,
    /// What keeps it from running or being ready, when it says so.
    pub(super) trouble: Option<String>,
}

/// In the order in which a controller takes them away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Pending,
    Unknown,
    Running,
}

impl Pod {
    /// The cost that a controller reads; 0 where it can read none.
    pub(super) fn cost(&self) -> i32 {
        self.cost.as_deref().and_then(|cost| cost.parse().ok()).unwrap_or(0)
    }
}

impl Seen {
    /// Pods that stay unless something is done.
    pub(super) fn live(&self) -> impl Iterator<Item = &Pod> + Clone {
        self.pods.iter().filter(|pod| !pod.terminating)
    }

    /// One of them.
    pub(super) fn live_pod(&self, name: &str) -> Option<&Pod> {
        self.live().find(|pod| pod.name == name)
    }

    /// Reads what the API server sends. `sets` and `pods` may be of others too.
    ///
    /// # Errors
    /// When the Deployment is not one, in words.
    pub(super) fn read(
        deployment: Option<&Value>,
        sets: &[Value],
        pods: &[Value],
        scalers: &[Value],
    ) -> Result<Self, String> {
        let Some(written) = deployment else { return Ok(Self::default()) };
        let uid = &written["metadata"]["uid"];
        let revision = &written["metadata"]["annotations"][REVISION];
        let sets: BTreeMap<&str, bool> = sets
            .iter()
            .filter(|set| owned_by(set, uid))
            .filter_map(|set| {
                let newest = set["metadata"]["annotations"][REVISION] == *revision;
                Some((set["metadata"]["uid"].as_str()?, newest))
            })
            .collect();
        let of_sets = |pod: &Value| {
            let owner = controller(pod)?["uid"].as_str()?;
            sets.get(owner).map(|newest| read_pod(pod, *newest))
        };
        let ended = |pod: &&Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let mut pods: Vec<Pod> = pods.iter().filter(|pod| !ended(pod)).filter_map(of_sets).collect();
        pods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let name = &written["metadata"]["name"];
        let about = |scaler: &&Value| {
            let target = &scaler["spec"]["scaleTargetRef"];
            target["kind"] == "Deployment" && target["name"] == *name
        };
        let mut scalers: Vec<Scaler> = scalers.iter().filter(about).map(read_scaler).collect();
        scalers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { deployment: Some(read_deployment(written)?), scalers, pods })
    }
}

/// Number of a version, on a Deployment and on the replica set that it stands for.
const REVISION: &str = "deployment.kubernetes.io/revision";

fn read_deployment(written: &Value) -> Result<Deployment, String> {
    let manifest = serde_json::from_value(written.clone()).map_err(|error| error.to_string())?;
    let kept = objects::Deployment::keep(manifest);
    let conditions = written["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let failure =
        conditions.iter().find(|about| about["type"] == "ReplicaFailure" && about["status"] == "True");
    Ok(Deployment {
        version: text(&written["metadata"]["resourceVersion"]).unwrap_or_default(),
        wanted: kept.spec.replicas.unwrap_or(1),
        ours: not_by_others(written, "f:replicas"),
        terminating: kept.meta.terminating,
        changing: crate::mapping::changing(&kept),
        failure: failure.and_then(|failure| text(&failure["message"])),
        cost: text(&written["spec"]["template"]["metadata"]["annotations"][COST_ANNOTATION]),
    })
}

fn read_scaler(written: &Value) -> Scaler {
    let (spec, status) = (&written["spec"], &written["status"]);
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    // What it wanted when it could measure last stays in its status.
    let blind = conditions.iter().any(|about| about["type"] == "ScalingActive" && about["status"] == "False");
    let owner = controller(written).map(|owner| {
        format!(
            "{} {}",
            owner["kind"].as_str().unwrap_or("object"),
            owner["name"].as_str().unwrap_or_default()
        )
    });
    Scaler {
        name: text(&written["metadata"]["name"]).unwrap_or_default(),
        version: text(&written["metadata"]["resourceVersion"]).unwrap_or_default(),
        min: number(&spec["minReplicas"]).unwrap_or(1),
        ours: not_by_others(written, "f:minReplicas"),
        max: number(&spec["maxReplicas"]).unwrap_or(0),
        desired: number(&status["desiredReplicas"]).filter(|_| !blind),
        owner,
    }
}

fn read_pod(written: &Value, current: bool) -> Pod {
    let (meta, status) = (&written["metadata"], &written["status"]);
    let containers = status["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let runs = |container: &Value| container["state"]["running"].is_object();
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    Pod {
        name: text(&meta["name"]).unwrap_or_default(),
        uid: text(&meta["uid"]).unwrap_or_default(),
        node: text(&written["spec"]["nodeName"]).unwrap_or_default(),
        created: text(&meta["creationTimestamp"]).unwrap_or_default(),
        current,
        terminating: meta["deletionTimestamp"].is_string(),
        phase: match status["phase"].as_str() {
            Some("Running") => Phase::Running,
            Some("Unknown") => Phase::Unknown,
            _ => Phase::Pending,
        },
        started: !containers.is_empty() && containers.iter().all(runs),
        ready: conditions.iter().any(|about| about["type"] == "Ready" && about["status"] == "True"),
        location: text(&meta["labels"][LOCATION_LABEL]),
        cost: text(&meta["annotations"][COST_ANNOTATION]),
        trouble: trouble::of_pod(written),
    }
}

/// Whether nobody else is known to have written a field of the spec last. The API server takes a field away from everybody
/// else when its value is changed, so that this tells a change by others from ours, also after a crash.
///
/// It does not always know. Once somebody has set a scale to the number that it had (`kubectl scale --replicas=1` where
/// there is one), it keeps no record of any later change of the scale, ours or others', until the field is written by way of the
/// Deployment itself. Then the number alone has to do, as if it were ours.
fn not_by_others(object: &Value, field: &str) -> bool {
    let fields = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut writers = fields.iter().filter(|entry| entry["fieldsV1"]["f:spec"][field].is_object());
    writers.all(|entry| entry["manager"] == super::FIELD_MANAGER)
}

fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

fn owned_by(object: &Value, uid: &Value) -> bool {
    controller(object).is_some_and(|owner| owner["uid"] == *uid)
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
