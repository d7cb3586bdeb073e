//! Use of CPU, memory and disks, of the nodes that a service runs on or of its workloads.
use super::{
    Sight,
    series::{self, Comparison, Side},
};
use crate::{
    forecast::Forecast,
    gauge::GaugeMetric,
    ids::{NodeId, ServiceId},
    inputs::MaybeForecast,
    policy::{
        Base, Bound, Consumer, PredictedExhaustion, PredictedUsage, Resource, UnknownReason, Verdict,
        verdict::{Subject, verdict_order},
    },
    topology::Workload,
};

/// Somebody whose use is looked at.
#[derive(Clone, Debug)]
enum User<'a> {
    Node(&'a NodeId),
    Workload(&'a crate::ids::WorkloadId, &'a Workload),
}

impl User<'_> {
    fn subject(&self) -> Subject {
        match self {
            Self::Node(node) => Subject::Node((*node).clone()),
            Self::Workload(workload, _) => Subject::Workload((*workload).clone()),
        }
    }
}

pub(super) fn assess(
    rule: &PredictedUsage,
    service: &ServiceId,
    sight: &Sight<'_>,
) -> Result<Verdict, UnknownReason> {
    worst_of(rule.of, service, sight, |user| {
        let subject = user.subject();
        let comparison = match rule.above {
            Bound::Absolute(limit) => Comparison::use_of(subject, limit, rule.resource.unit()),
            Bound::Share { share, of } => {
                let base = base(user, rule.resource, of, sight)?;
                Comparison::share_of(subject, share, base, Side::Above)
            }
        };
        series::assess(&rule.sustained, &comparison, used(user, rule.resource, sight)?, sight)
    })
}

pub(super) fn assess_exhaustion(
    rule: &PredictedExhaustion,
    service: &ServiceId,
    sight: &Sight<'_>,
) -> Result<Verdict, UnknownReason> {
    worst_of(rule.of, service, sight, |user| {
        let of = match user {
            User::Node(_) => Base::Capacity,
            User::Workload(..) => Base::Limit,
        };
        let base = base(user, rule.resource, of, sight)?;
        let comparison = Comparison::share_of(user.subject(), 1.0, base, Side::Reaching);
        series::assess(&rule.sustained, &comparison, used(user, rule.resource, sight)?, sight)
    })
}

/// The verdict that counts among those of all nodes or workloads of a service.
fn worst_of<'a>(
    of: Consumer,
    service: &ServiceId,
    sight: &Sight<'a>,
    said: impl Fn(&User<'a>) -> Result<Verdict, UnknownReason>,
) -> Result<Verdict, UnknownReason> {
    let users: Vec<User<'a>> = match of {
        Consumer::Node => sight.nodes_of(service).into_keys().map(User::Node).collect(),
        Consumer::Workload => {
            let with_replicas = sight.workloads_of(service).iter().filter(|(_, w)| !w.replicas.is_empty());
            with_replicas.map(|(id, workload)| User::Workload(id, workload)).collect()
        }
    };
    let verdicts = users.iter().map(|user| said(user).unwrap_or_else(|why| Verdict::Unknown { why }));
    let first = verdicts.reduce(|best, next| if counts_more(&next, &best) { next } else { best });
    first.ok_or(UnknownReason::NoReplica)
}

/// As for rules; and of two that are as far from firing, the one that uses more.
fn counts_more(a: &Verdict, b: &Verdict) -> bool {
    match (a, b) {
        (Verdict::Healthy(a), Verdict::Healthy(b)) if a.probability == b.probability => {
            a.worst.value > b.worst.value
        }
        _ => verdict_order(a, b),
    }
}

/// The forecast of what somebody uses.
fn used<'a>(user: &User<'_>, resource: Resource, sight: &Sight<'a>) -> Result<&'a Forecast, UnknownReason> {
    let gauge = resource.gauge();
    let made = match user {
        User::Node(node) => node_gauge(node, gauge, sight),
        User::Workload(workload, _) => {
            sight.inputs.resources.workloads.get(*workload).and_then(|known| known.get(&gauge))
        }
    };
    let metric = || gauge.name().to_owned();
    match made {
        None => Err(UnknownReason::NoForecastOf { subject: user.subject(), metric: metric() }),
        Some(Err(error)) => Err(UnknownReason::Refused { metric: metric(), error: error.clone() }),
        Some(Ok(forecast)) => Ok(forecast),
    }
}

pub(super) fn node_gauge<'a>(
    node: &NodeId,
    gauge: GaugeMetric,
    sight: &Sight<'a>,
) -> Option<&'a MaybeForecast> {
    let cpu = (gauge == GaugeMetric::CpuUsedMillicores).then(|| sight.inputs.nodes.get(node)).flatten();
    cpu.or_else(|| sight.inputs.resources.nodes.get(node)?.get(&gauge))
}

/// What a share is a share of, in the resource's unit.
fn base(user: &User<'_>, resource: Resource, of: Base, sight: &Sight<'_>) -> Result<f64, UnknownReason> {
    let known = match (user, of) {
        (User::Node(node), _) => capacity(node, resource, sight),
        (User::Workload(_, workload), Base::Request | Base::Capacity) => {
            let requests = workload.requests;
            let each = match resource {
                Resource::Cpu => requests.cpu_millicores,
                Resource::Memory => requests.memory_bytes,
                Resource::DiskIo | Resource::Disk => None,
            };
            each.map(|each| each * workload.replicas.len() as f64)
        }
        (User::Workload(_, workload), Base::Limit) => {
            let each = workload.cpu_limit.filter(|_| resource == Resource::Cpu);
            each.map(|each| each.get() * workload.replicas.len() as f64)
        }
    };
    known.filter(|base| *base > 0.0).ok_or_else(|| UnknownReason::NoBase {
        subject: user.subject(),
        what: format!("{} {}", resource.name(), of.name()),
    })
}

/// All that a node has: what the platform gives away, or what was measured last where it does not say.
fn capacity(node: &NodeId, resource: Resource, sight: &Sight<'_>) -> Option<f64> {
    let given = sight.inputs.snapshot.nodes.get(node).and_then(|node| match resource {
        Resource::Cpu => Some(node.capacity.get()),
        Resource::Memory => node.memory_bytes,
        Resource::DiskIo | Resource::Disk => None,
    });
    let measured = || {
        let forecast = node_gauge(node, resource.gauge().capacity()?, sight)?.as_ref().ok()?;
        forecast.steps.first().map(|step| step.point)
    };
    given.or_else(measured)
}
