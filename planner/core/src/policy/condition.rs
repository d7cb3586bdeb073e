//! What rules look at.
use super::quantity::{Quantity, Unit};
use crate::{
    gauge::GaugeMetric,
    history::Metric,
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};

/// One reason to move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: String,
    /// What must be predicted for it to fire.
    pub when: Condition,
}

impl Rule {
    /// The first latency that it looks at, if it looks at one.
    pub fn latency(&self) -> Option<&PredictedLatency> {
        self.when.latency()
    }
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// A quantile of latency is predicted above an objective.
    PredictedLatency(PredictedLatency),
    /// Fewer requests are predicted to be served than will be asked for.
    PredictedThroughput(PredictedThroughput),
    /// The share of requests that the service does not fail is predicted below an objective.
    PredictedAvailability(PredictedAvailability),
    /// Use of a resource is predicted above a limit.
    PredictedUsage(PredictedUsage),
    /// A resource is predicted to run out.
    PredictedExhaustion(PredictedExhaustion),
    /// Another node would cost less.
    CostSaving(CostSaving),
    /// All of them at once. Never empty, and none of them is `All` again.
    All(Vec<Condition>),
}

/// How long something must last, when it must begin, and how probable it must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sustained {
    /// Steps that must be beyond the threshold, at least 1.
    pub steps: usize,
    /// Steps in a row among which they are counted, at least `steps`.
    pub of: usize,
    /// Look-ahead in milliseconds.
    pub within_ms: i64,
    /// The rule fires when the probability of all that is at least this.
    pub probability: Probability,
}

/// Fires when latency is predicted above the objective for `steps` of `of` steps, starting within the look-ahead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedLatency {
    /// Quantile of latency, one of [`crate::history::KEPT_QUANTILES`].
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub above_ms: f64,
    /// Steps that must be above, at least 1.
    pub steps: usize,
    /// Steps in a row among which they are counted, at least `steps`.
    pub of: usize,
    /// Look-ahead in milliseconds.
    pub within_ms: i64,
    /// The rule fires when the probability of all that is at least this.
    pub probability: Probability,
}

impl PredictedLatency {
    /// How long, when and how probable.
    pub const fn sustained(&self) -> Sustained {
        Sustained { steps: self.steps, of: self.of, within_ms: self.within_ms, probability: self.probability }
    }
}

/// Fires when nodes of the service's replicas are predicted to need more CPU than they have, so that a share of the
/// demand cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedThroughput {
    /// Share of the demand that may stay unserved, above 0 and below 1.
    pub below_demand_by: f64,
    /// How long, when and how probable.
    pub sustained: Sustained,
}

/// Fires when availability is predicted below the objective.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedAvailability {
    /// The objective: a share of requests above 0 and below 1, such as 0.999.
    pub below: f64,
    /// How long, when and how probable.
    pub sustained: Sustained,
}

/// Fires when use of a resource is predicted above a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedUsage {
    /// Whose use.
    pub of: Consumer,
    /// Of what.
    pub resource: Resource,
    /// The limit.
    pub above: Bound,
    /// How long, when and how probable.
    pub sustained: Sustained,
}

/// Fires when use of a resource is predicted to reach all that there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedExhaustion {
    /// Whose use.
    pub of: Consumer,
    /// Of what.
    pub resource: Resource,
    /// How long, when and how probable.
    pub sustained: Sustained,
}

/// Fires when a move would save money. Whether it would is for the placement to say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostSaving {
    /// Money per hour, above 0.
    pub at_least: f64,
}

/// Who uses a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consumer {
    /// Everything on each node that has a replica of the service.
    Node,
    /// All replicas of each workload of the service together.
    Workload,
}

impl Consumer {
    /// The word that stands for it in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Workload => "workload",
        }
    }
}

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Bytes read from and written to disks, per second.
    DiskIo,
    /// Space on the root filesystem.
    Disk,
}

impl Resource {
    /// The word that stands for it in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::DiskIo => "disk_io",
            Self::Disk => "disk",
        }
    }

    /// The measured level of what is in use.
    pub const fn gauge(self) -> GaugeMetric {
        match self {
            Self::Cpu => GaugeMetric::CpuUsedMillicores,
            Self::Memory => GaugeMetric::MemoryUsedBytes,
            Self::DiskIo => GaugeMetric::DiskIoBytesPerSecond,
            Self::Disk => GaugeMetric::FilesystemUsedBytes,
        }
    }

    /// The unit that its use is measured in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Cpu => Unit::Millicores,
            Self::Memory | Self::Disk => Unit::Bytes,
            Self::DiskIo => Unit::BytesPerSecond,
        }
    }
}

/// A limit of use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// A number in the resource's unit: millicores, bytes, or bytes per second.
    Absolute(f64),
    /// A share of what there is, above 0.
    Share {
        /// The share.
        share: f64,
        /// Of what.
        of: Base,
    },
}

/// What a share of use is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// All that the node has.
    Capacity,
    /// What the replicas of the workload ask for together.
    Request,
    /// What the replicas of the workload may use together.
    Limit,
}

impl Base {
    /// The word that stands for it in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Request => "request",
            Self::Limit => "limit",
        }
    }
}

impl Condition {
    /// Its parts: those of `All`, or itself.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::All(parts) => parts,
            alone => std::slice::from_ref(alone),
        }
    }

    /// How long, when and how probable; `None` of a condition that is about money, or of several.
    pub const fn sustained(&self) -> Option<Sustained> {
        match self {
            Self::PredictedLatency(latency) => Some(latency.sustained()),
            Self::PredictedThroughput(throughput) => Some(throughput.sustained),
            Self::PredictedAvailability(availability) => Some(availability.sustained),
            Self::PredictedUsage(usage) => Some(usage.sustained),
            Self::PredictedExhaustion(exhaustion) => Some(exhaustion.sustained),
            Self::CostSaving(_) | Self::All(_) => None,
        }
    }

    /// How far ahead it looks, in milliseconds; 0 when it does not.
    pub fn within_ms(&self) -> i64 {
        self.parts().iter().filter_map(Self::sustained).map(|part| part.within_ms).max().unwrap_or(0)
    }

    /// The first latency that it looks at, if it looks at one.
    pub fn latency(&self) -> Option<&PredictedLatency> {
        self.parts().iter().find_map(|part| match part {
            Self::PredictedLatency(latency) => Some(latency),
            _ => None,
        })
    }

    /// The saving that a move for it must bring, in money per hour; the highest one where there are several.
    pub fn saving(&self) -> Option<f64> {
        let savings = self.parts().iter().filter_map(|part| match part {
            Self::CostSaving(saving) => Some(saving.at_least),
            _ => None,
        });
        savings.reduce(f64::max)
    }

    /// Quantities of the service that it looks at.
    pub fn metrics(&self) -> impl Iterator<Item = Metric> {
        self.parts().iter().filter_map(|part| match part {
            Self::PredictedLatency(latency) => Metric::latency(latency.quantile.get()),
            Self::PredictedThroughput(_) => Some(Metric::Throughput),
            Self::PredictedAvailability(_) => Some(Metric::Availability),
            _ => None,
        })
    }

    /// Measured levels that it looks at, and of whom; those that bound them included.
    pub fn gauges(&self) -> impl Iterator<Item = (Consumer, GaugeMetric)> {
        self.parts().iter().flat_map(|part| {
            let (of, used) = match part {
                Self::PredictedUsage(usage) => (usage.of, Some(usage.resource.gauge())),
                Self::PredictedExhaustion(exhaustion) => (exhaustion.of, Some(exhaustion.resource.gauge())),
                Self::PredictedThroughput(_) => (Consumer::Node, Some(GaugeMetric::CpuUsedMillicores)),
                _ => (Consumer::Node, None),
            };
            let bound = used.and_then(GaugeMetric::capacity);
            used.into_iter().chain(bound).map(move |gauge| (of, gauge))
        })
    }

    /// What it compares with: the objective or limit of its first part, as it is written.
    pub fn threshold(&self) -> Quantity {
        match self {
            Self::PredictedLatency(latency) => Quantity::ms(latency.above_ms),
            Self::PredictedThroughput(throughput) => Quantity::share(throughput.below_demand_by),
            Self::PredictedAvailability(availability) => Quantity::share(availability.below),
            Self::PredictedUsage(PredictedUsage { above: Bound::Absolute(value), resource, .. }) => {
                Quantity::new(*value, resource.unit())
            }
            Self::PredictedUsage(PredictedUsage { above: Bound::Share { share, .. }, .. }) => {
                Quantity::share(*share)
            }
            Self::PredictedExhaustion(_) => Quantity::share(1.0),
            Self::CostSaving(saving) => Quantity::new(saving.at_least, Unit::MoneyPerHour),
            Self::All(parts) => {
                let rest = parts.iter().find(|part| !matches!(part, Self::CostSaving(_)));
                rest.or(parts.first()).map_or(Quantity::share(0.0), Self::threshold)
            }
        }
    }
}
