//! Measured levels of nodes and workloads: which quantities there are, who measured, and their histories.
use crate::{series::Series, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A measured level, as opposed to counted observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GaugeMetric {
    /// CPU in use, in millicores.
    CpuUsedMillicores,
    /// CPU that there is, in millicores.
    CpuCapacityMillicores,
    /// Memory in use that cannot be reclaimed at once, in bytes.
    MemoryUsedBytes,
    /// Memory that there is, in bytes.
    MemoryCapacityBytes,
    /// Bytes read from and written to disks, per second.
    DiskIoBytesPerSecond,
    /// Bytes received and sent over the network, per second.
    NetworkBytesPerSecond,
    /// Bytes in use on the root filesystem.
    FilesystemUsedBytes,
    /// Size of the root filesystem in bytes.
    FilesystemCapacityBytes,
    /// CPU in use on a node by all but the replicas that may be moved, in millicores. It stays when they go.
    CpuBackgroundMillicores,
}

impl GaugeMetric {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::CpuUsedMillicores,
        Self::CpuCapacityMillicores,
        Self::MemoryUsedBytes,
        Self::MemoryCapacityBytes,
        Self::DiskIoBytesPerSecond,
        Self::NetworkBytesPerSecond,
        Self::FilesystemUsedBytes,
        Self::FilesystemCapacityBytes,
        Self::CpuBackgroundMillicores,
    ];

    /// Name with its unit: in the store, in settings and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuUsedMillicores => "cpu_used_millicores",
            Self::CpuCapacityMillicores => "cpu_capacity_millicores",
            Self::MemoryUsedBytes => "memory_used_bytes",
            Self::MemoryCapacityBytes => "memory_capacity_bytes",
            Self::DiskIoBytesPerSecond => "disk_io_bytes_per_second",
            Self::NetworkBytesPerSecond => "network_bytes_per_second",
            Self::FilesystemUsedBytes => "filesystem_used_bytes",
            Self::FilesystemCapacityBytes => "filesystem_capacity_bytes",
            Self::CpuBackgroundMillicores => "cpu_background_millicores",
        }
    }

    /// The metric with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What bounds it, where that is measured: when a forecast of this crosses that, the resource is exhausted.
    pub const fn capacity(self) -> Option<Self> {
        match self {
            Self::CpuUsedMillicores => Some(Self::CpuCapacityMillicores),
            Self::MemoryUsedBytes => Some(Self::MemoryCapacityBytes),
            Self::FilesystemUsedBytes => Some(Self::FilesystemCapacityBytes),
            _ => None,
        }
    }

    /// Whether it tells how much there is, not how much is in use.
    pub const fn is_capacity(self) -> bool {
        matches!(
            self,
            Self::CpuCapacityMillicores | Self::MemoryCapacityBytes | Self::FilesystemCapacityBytes
        )
    }
}

/// Who measured. Ordered by preference: where several measured the same step, the first counts. A source that the
/// operator set up comes before what the platform's commands say in passing, and one that reads whole steps before one
/// that reads moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GaugeSource {
    /// A Prometheus-compatible server.
    Prometheus,
    /// A node-exporter, read directly.
    NodeExporter,
    /// Pushed by the OpenTelemetry protocol.
    Otlp,
    /// The platform.
    Platform,
}

impl GaugeSource {
    /// All of them, the preferred ones first.
    pub const ALL: [Self; 4] = [Self::Prometheus, Self::NodeExporter, Self::Otlp, Self::Platform];

    /// Name in the store and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::NodeExporter => "node_exporter",
            Self::Otlp => "otlp",
            Self::Platform => "platform",
        }
    }

    /// The source with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}

/// One quantity of one node or workload, step by step.
#[derive(Clone, Debug, PartialEq)]
pub struct GaugeHistory {
    /// Mean of each step; a step that nobody measured is a gap.
    pub series: Series,
    /// Who measured the newest step that has a value.
    pub source: GaugeSource,
    /// When the newest reading was taken; how old the number is.
    pub newest: Timestamp,
}

/// Histories by quantity.
pub type GaugeHistories = BTreeMap<GaugeMetric, GaugeHistory>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for metric in GaugeMetric::ALL {
            assert_eq!(GaugeMetric::named(metric.name()), Some(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        for source in GaugeSource::ALL {
            assert_eq!(GaugeSource::named(source.name()), Some(source));
        }
        assert_eq!(GaugeMetric::named("cpu"), None);
    }
}
