//! The service of one task that runs beside a service while one of its tasks moves, and what is kept in its labels.
use crate::{
    labels::{FROM, HAND_OVER, SLOT, SURGE_NAME, SURGE_OF, TEMPLATE, TO},
    objects::Service,
    spec::{Spec, SpecError, quoted},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _};

const TEMPLATE_PATH: &str = "TaskTemplate";
pub(crate) const PLACEMENT: &[&str] = &[TEMPLATE_PATH, "Placement"];
pub(crate) const UPDATE: &[&str] = &["UpdateConfig"];
const LABELS: &[&str] = &["Labels"];
/// Longest name of a service that dockerd takes.
const LONGEST_NAME: usize = 63;
const SUFFIX: &str = "-foremesh";

/// A surge service, as its labels tell of it.
#[derive(Clone, Debug)]
pub struct Surge {
    /// As dockerd has it.
    pub service: Service,
    /// Id of the service that it is for.
    pub of: String,
    /// Name of that service.
    pub name: String,
    /// The slot that moves.
    pub slot: u64,
    /// Id of the node that it leaves.
    pub from: String,
    /// Id of the node that it goes to.
    pub to: String,
    /// Digest of the template that it was copied of.
    pub template: String,
    /// What is changed of the service for the hand-over; none before that.
    pub hand_over: Option<HandOver>,
}

/// What is changed of a service for the hand-over, and what it was before; written down before it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Its placement of before, as text; none where it had none.
    pub placement: Option<String>,
    /// Its update settings of before, as text.
    pub update: Option<String>,
    /// The placement that leaves the moving task only its new node.
    pub moving: String,
    /// The one that leaves it only its old node, to take that back.
    pub holding: String,
}

/// How tasks are changed while one is handed over: the new one first, one at a time; and nobody rolls anything back.
pub(crate) const HANDING_OVER: &str = r#"{"Parallelism":1,"FailureAction":"pause","Order":"start-first"}"#;

impl Surge {
    /// Reads one; none when the service is not one.
    pub fn read(service: &Service) -> Option<Self> {
        #[derive(Deserialize)]
        struct Labelled {
            #[serde(rename = "Labels", default)]
            labels: Option<BTreeMap<String, String>>,
        }
        let labels = serde_json::from_str::<Labelled>(service.spec.get()).ok()?.labels?;
        let label = |name: &str| labels.get(name).cloned();
        Some(Self {
            service: service.clone(),
            of: label(SURGE_OF)?,
            name: label(SURGE_NAME)?,
            slot: label(SLOT)?.parse().ok()?,
            from: label(FROM)?,
            to: label(TO)?,
            template: label(TEMPLATE)?,
            hand_over: label(HAND_OVER).and_then(|written| serde_json::from_str(&written).ok()),
        })
    }

    /// Its spec with what is to be changed of the service written down. Labels are no reason for Swarm to touch a task.
    ///
    /// # Errors
    /// When its spec is none.
    pub(crate) fn noting(&self, hand_over: &HandOver) -> Result<Spec, SpecError> {
        let path = [LABELS[0], HAND_OVER];
        Spec::new(self.service.spec.get())?.with(&path, Some(&quoted(&json!(hand_over).to_string())))
    }
}

/// What is moved where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moving<'a> {
    pub(crate) slot: u64,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
}

/// Name of the surge service of a service.
pub(crate) fn surge_name(of: &str) -> String {
    let free = LONGEST_NAME - SUFFIX.len();
    if of.len() <= free {
        return format!("{of}{SUFFIX}");
    }
    let cut: String = of.chars().take(free - 9).collect();
    format!("{cut}-{}{SUFFIX}", &digest(of)[..8])
}

/// The spec of a surge service: that of the service, with one task, on the new node, which nobody finds by a name or a
/// published port, and which does not start again when it ends.
///
/// # Errors
/// When the service's spec is of another form than dockerd's.
pub(crate) fn surge_spec(of: &str, name: &str, spec: &Spec, moving: Moving<'_>) -> Result<Spec, SpecError> {
    let labels = json!({
        SURGE_OF: of,
        SURGE_NAME: name,
        SLOT: moving.slot.to_string(),
        FROM: moving.from,
        TO: moving.to,
        TEMPLATE: template(spec)?,
    });
    let placed = constrained(spec, &[format!("node.id=={}", moving.to)])?;
    let mut surge = spec
        .with(&["Name"], Some(&quoted(&surge_name(name))))?
        // None of the service's own: others find services by labels, such as routers and `docker stack deploy --prune`.
        .with(LABELS, Some(&labels.to_string()))?
        .with(&["Mode"], Some(r#"{"Replicated":{"Replicas":1}}"#))?
        .with(UPDATE, None)?
        .with(&["RollbackConfig"], None)?
        .with(&["EndpointSpec"], Some(r#"{"Mode":"dnsrr"}"#))?
        .with(&[TEMPLATE_PATH, "RestartPolicy"], Some(r#"{"Condition":"none"}"#))?
        // The task that comes to stay needs that room beside it.
        .with(&[TEMPLATE_PATH, "Resources", "Reservations"], None)?
        .with(&[TEMPLATE_PATH, "Placement", "Constraints"], Some(&json!(placed).to_string()))?
        .with(&[TEMPLATE_PATH, "Placement", "MaxReplicas"], None)?
        .with(&[TEMPLATE_PATH, "Placement", "Preferences"], None)?;
    for path in [&[TEMPLATE_PATH, "Networks"][..], &["Networks"]] {
        let Some(networks) = surge.read::<Vec<Box<RawValue>>>(path)? else { continue };
        let nameless: Result<Vec<String>, SpecError> = networks
            .iter()
            .map(|network| Ok(Spec::new(network.get())?.with(&["Aliases"], None)?.as_str().to_owned()))
            .collect();
        surge = surge.with(path, Some(&format!("[{}]", nameless?.join(","))))?;
    }
    Ok(surge)
}

/// What a service runs, wherever: changed when somebody rolls out something else.
///
/// # Errors
/// When the spec is of another form than dockerd's.
pub(crate) fn template(spec: &Spec) -> Result<String, SpecError> {
    let without = spec.with(PLACEMENT, None)?;
    Ok(digest(without.get(&[TEMPLATE_PATH])?.unwrap_or_default())[..32].to_owned())
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut written, byte| {
        let _ = write!(written, "{byte:02x}");
        written
    })
}

/// The constraints of a service and some more.
fn constrained(spec: &Spec, more: &[String]) -> Result<Vec<String>, SpecError> {
    let own: Option<Vec<String>> = spec.read(&[TEMPLATE_PATH, "Placement", "Constraints"])?;
    Ok(own.into_iter().flatten().chain(more.iter().cloned()).collect())
}

/// The placement of a service with more constraints; with `alone`, a node takes one task at most.
///
/// # Errors
/// When the spec is of another form than dockerd's.
pub(crate) fn placement(spec: &Spec, more: &[String], alone: bool) -> Result<String, SpecError> {
    let constraints = json!(constrained(spec, more)?).to_string();
    let mut changed = spec.with(&[TEMPLATE_PATH, "Placement", "Constraints"], Some(&constraints))?;
    if alone {
        changed = changed.with(&[TEMPLATE_PATH, "Placement", "MaxReplicas"], Some("1"))?;
    }
    Ok(changed.get(PLACEMENT)?.unwrap_or("{}").to_owned())
}

/// Whether two texts say the same: dockerd writes what it was given in its own order.
pub(crate) fn same(a: Option<&str>, b: Option<&str>) -> bool {
    let read = |text: Option<&str>| text.map(serde_json::from_str::<Value>).and_then(Result::ok);
    match (read(a), read(b)) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys = a.keys().chain(b.keys());
            keys.into_iter().all(|key| is_same(a.get(key), b.get(key)))
        }
        (a, b) => a == b,
    }
}

/// What is nought or empty may be left out.
fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    a.filter(|value| !nothing(value)) == b.filter(|value| !nothing(value))
}
