//! What a live series is about, and where its values are.
use crate::observed::Observed;
use foremesh_core::{
    calendar::Subject,
    gauge::GaugeMetric,
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    live::UpperQuantile,
    series::Series,
};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, fmt};

/// One quantity of one service, node or workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeriesId {
    /// Of a service.
    Service(ServiceId, Metric),
    /// Of a node.
    Node(NodeId, GaugeMetric),
    /// Of a workload, all its replicas together.
    Workload(WorkloadId, GaugeMetric),
}

impl SeriesId {
    /// `service`, `node` or `workload`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Service(..) => "service",
            Self::Node(..) => "node",
            Self::Workload(..) => "workload",
        }
    }

    /// Name of the service, node or workload.
    pub fn subject(&self) -> &str {
        match self {
            Self::Service(service, _) => service.as_str(),
            Self::Node(node, _) => node.as_str(),
            Self::Workload(workload, _) => workload.as_str(),
        }
    }

    /// Name of the quantity with its unit, such as `latency_p99_ms`.
    pub fn metric(&self) -> String {
        match self {
            Self::Service(_, metric) => metric.name(),
            Self::Node(_, metric) | Self::Workload(_, metric) => metric.name().to_owned(),
        }
    }

    /// Highest value that can be.
    pub(super) fn highest(&self) -> Option<f64> {
        matches!(self, Self::Service(_, Metric::Availability)).then_some(1.0)
    }

    /// Whether what was measured at one place says little of another.
    pub(super) fn depends_on_place(&self) -> bool {
        matches!(self, Self::Service(_, metric) if metric.depends_on_place())
    }

    /// What events are asked about. A service's own workload is not named here: events for workloads concern what is
    /// measured of workloads.
    pub(super) fn event_subject<'a>(&'a self, metric: &'a str) -> Subject<'a> {
        match self {
            Self::Service(service, _) => Subject::service(service.as_str(), metric),
            Self::Node(node, _) => Subject::node(node.as_str(), metric),
            Self::Workload(workload, _) => {
                Subject { service: None, node: None, workload: Some(workload.as_str()), metric }
            }
        }
    }

    /// Whether it is a latency above the median, which has a tail.
    pub(super) const fn has_tail(&self) -> bool {
        matches!(self, Self::Service(_, Metric::Latency(1..)))
    }

    /// The median and the tail of its service, if it is a latency above the median.
    pub(super) fn parts<'a>(&self, observed: &'a Observed) -> Option<UpperQuantile<'a>> {
        match self {
            Self::Service(service, Metric::Latency(at @ 1..)) => {
                let history = observed.service(service)?;
                Some(UpperQuantile { history, at: *at, window: observed.tail_steps() })
            }
            _ => None,
        }
    }

    /// Its values, if any were observed within the time that is kept.
    pub(super) fn values<'o>(&self, observed: &'o Observed) -> Option<Cow<'o, Series>> {
        match self {
            Self::Service(service, metric) => Some(Cow::Owned(observed.service(service)?.series(*metric))),
            Self::Node(node, metric) => Some(Cow::Borrowed(&observed.node(node)?.gauges.get(metric)?.series)),
            Self::Workload(workload, metric) => {
                Some(Cow::Borrowed(&observed.workload(workload)?.gauges.get(metric)?.series))
            }
        }
    }
}

impl fmt::Display for SeriesId {
    /// As `service/cart/latency_p99_ms`.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}/{}", self.kind(), self.subject(), self.metric())
    }
}

impl Serialize for SeriesId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
