//! What a pod asks for, counted as the scheduler counts it.
use super::{Quantity, manifest::or_default};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

type Amounts = BTreeMap<String, Quantity>;

const CPU: &str = "cpu";
const MEMORY: &str = "memory";

/// What a pod asks for and is limited to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requested {
    /// Millicores; `None` when it asks for none.
    pub(crate) cpu: Option<f64>,
    /// Bytes; `None` when it asks for none.
    pub(crate) memory: Option<f64>,
    /// Millicores that it may use; `None` when one of its containers has no limit.
    pub(crate) cpu_limit: Option<f64>,
    /// Bytes that it may use; `None` when one of its containers has no limit.
    pub(crate) memory_limit: Option<f64>,
    /// Whatever else it asks for, by name.
    pub(crate) others: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Resources {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) requests: Amounts,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) limits: Amounts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container {
    #[serde(default, deserialize_with = "or_default")]
    resources: Resources,
    /// `Always` makes an init container a sidecar, which goes on running.
    #[serde(default)]
    restart_policy: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ports: Vec<Port>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    #[serde(default)]
    pub(super) host_port: u16,
}

impl Requested {
    /// Of a pod with these containers: what runs together is summed, init containers run one after the other beside the
    /// sidecars that were started before them, and the larger of both counts. What is said of the pod as a whole
    /// overrules its containers.
    pub(super) fn of(
        containers: &[Container],
        init: &[Container],
        whole: &Resources,
        overhead: &Amounts,
    ) -> Self {
        // In millicores and bytes, which are whole numbers, so that sums do not depend on their order.
        let read = |amounts: &Amounts, name: &str| {
            let amount = amounts.get(name)?;
            Some(if name == CPU { amount.millicores() } else { amount.get() })
        };
        let pod = |which: fn(&Resources) -> &Amounts, name: &str| {
            let amount = |container: &Container| read(which(&container.resources), name);
            let own = read(which(whole), name);
            let most = own.or_else(|| most(containers, init, amount))?;
            Some(most + read(overhead, name).unwrap_or(0.0))
        };
        let limited = |name: &str| {
            let has = |container: &&Container| container.resources.limits.contains_key(name);
            let running = containers.iter().chain(init.iter().filter(|container| container.is_sidecar()));
            let all = whole.limits.contains_key(name) || running.clone().all(|container| has(&container));
            all.then(|| pod(|resources| &resources.limits, name)).flatten()
        };
        let every = containers.iter().chain(init).map(|container| &container.resources).chain([whole]);
        let others = every.flat_map(|resources| resources.requests.keys());
        Self {
            cpu: pod(|resources| &resources.requests, CPU),
            memory: pod(|resources| &resources.requests, MEMORY),
            cpu_limit: limited(CPU),
            memory_limit: limited(MEMORY),
            others: others.filter(|name| *name != CPU && *name != MEMORY).cloned().collect(),
        }
    }
}

impl Container {
    fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

/// The most that a pod asks for at any time of its life; `None` when no container asks for any.
fn most(
    containers: &[Container],
    init: &[Container],
    amount: impl Fn(&Container) -> Option<f64>,
) -> Option<f64> {
    let (mut sidecars, mut starting) = (0.0, 0.0_f64);
    for container in init {
        let own = amount(container).unwrap_or(0.0);
        if container.is_sidecar() {
            sidecars += own;
            starting = starting.max(sidecars);
        } else {
            starting = starting.max(sidecars + own);
        }
    }
    let running: f64 = containers.iter().filter_map(&amount).sum();
    let asks = containers.iter().chain(init).any(|container| amount(container).is_some());
    asks.then_some((running + sidecars).max(starting))
}
