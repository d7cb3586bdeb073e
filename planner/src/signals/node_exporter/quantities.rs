//! Which of a node-exporter's metrics make up which quantity of its node.
use super::exposition::Sample;
use crate::store::GaugeMetric;

/// Devices that only pass on what others do: counted with those they stand on, everything would be counted twice.
const STACKED_DISKS: [&str; 6] = ["loop", "ram", "zram", "dm-", "md", "sr"];
/// Network devices whose traffic is not of the node's wires: loopback, bridges, tunnels and the ends of containers.
const INNER_NETWORKS: [&str; 14] = [
    "lo", "veth", "docker", "br-", "virbr", "cni", "flannel", "cali", "cilium", "lxc", "tun", "tap", "kube",
    "vxlan",
];

/// What one sample says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A part of a quantity that is counted: its value so far, and a name among the parts.
    Counted(GaugeMetric, String, f64),
    /// A part of a quantity that is measured; parts are added up.
    Measured(GaugeMetric, f64),
    /// What is to be taken from a quantity that is measured, and without which it is not known.
    Free(GaugeMetric, f64),
}

/// Whether a disk counts for itself.
pub(in crate::signals) fn is_disk(device: &str) -> bool {
    !STACKED_DISKS.iter().any(|prefix| device.starts_with(prefix))
}

/// Whether a network device is one of the node's own.
pub(in crate::signals) fn is_network(device: &str) -> bool {
    device != "lo" && !INNER_NETWORKS.iter().skip(1).any(|prefix| device.starts_with(prefix))
}

/// Whether a quantity is what is there less what is free: one of the two alone would pass for it.
pub(super) fn has_free(metric: GaugeMetric) -> bool {
    matches!(metric, GaugeMetric::MemoryUsedBytes | GaugeMetric::FilesystemUsedBytes)
}

/// What a sample is part of; empty for one that is not needed.
pub(super) fn parts(sample: &Sample<'_>) -> Vec<Part> {
    let counted = |metric, device: &str, scale: f64| {
        vec![Part::Counted(metric, format!("{}/{device}", sample.name), sample.value * scale)]
    };
    match sample.name {
        "node_cpu_seconds_total" => match sample.label("mode") {
            // A core that waits for a disk is free for others.
            "iowait" => Vec::new(),
            "idle" => vec![Part::Measured(GaugeMetric::CpuCapacityMillicores, 1000.0)],
            mode => {
                let core = format!("{}/{mode}", sample.label("cpu"));
                counted(GaugeMetric::CpuUsedMillicores, &core, 1000.0)
            }
        },
        "node_memory_MemTotal_bytes" => vec![
            Part::Measured(GaugeMetric::MemoryUsedBytes, sample.value),
            Part::Measured(GaugeMetric::MemoryCapacityBytes, sample.value),
        ],
        "node_memory_MemAvailable_bytes" => vec![Part::Free(GaugeMetric::MemoryUsedBytes, sample.value)],
        "node_disk_read_bytes_total" | "node_disk_written_bytes_total" if is_disk(sample.label("device")) => {
            counted(GaugeMetric::DiskIoBytesPerSecond, sample.label("device"), 1.0)
        }
        "node_network_receive_bytes_total" | "node_network_transmit_bytes_total"
            if is_network(sample.label("device")) =>
        {
            counted(GaugeMetric::NetworkBytesPerSecond, sample.label("device"), 1.0)
        }
        "node_filesystem_size_bytes" if sample.label("mountpoint") == "/" => vec![
            Part::Measured(GaugeMetric::FilesystemUsedBytes, sample.value),
            Part::Measured(GaugeMetric::FilesystemCapacityBytes, sample.value),
        ],
        "node_filesystem_free_bytes" if sample.label("mountpoint") == "/" => {
            vec![Part::Free(GaugeMetric::FilesystemUsedBytes, sample.value)]
        }
        _ => Vec::new(),
    }
}

/// The same choice of devices as a regular expression of PromQL, for disks and networks.
pub(in crate::signals) fn left_out_devices() -> (String, String) {
    let all =
        |prefixes: &[&str]| prefixes.iter().map(|prefix| format!("{prefix}.*")).collect::<Vec<_>>().join("|");
    (all(&STACKED_DISKS), format!("lo|{}", all(INNER_NETWORKS.split_at(1).1)))
}
