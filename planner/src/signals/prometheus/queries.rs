//! The questions: PromQL for each quantity of nodes and workloads.
//!
//! Levels are asked for as means over the window, not as the newest sample: that one is repeated for five minutes after
//! its source fell silent, and a made-up number is worse than a gap.
use super::mapping::Mapping;
use crate::{
    signals::{node_exporter::left_out_devices, settings::Queries},
    store::GaugeMetric,
};
use foremesh_core::time::Step;

/// Stands for the window in the PromQL of the settings.
const WINDOW: &str = "$window";

/// What a query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Nodes,
    Workloads,
}

/// One question.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) about: About,
    pub(super) metric: GaugeMetric,
    promql: String,
}

impl Query {
    /// The question with its window.
    pub(super) fn text(&self, window: Step) -> String {
        self.promql.replace(WINDOW, &format!("{}ms", window.ms()))
    }
}

/// All questions, the settings' own in the place of the built-in ones.
pub(super) fn all(mapping: &Mapping, own: &Queries) -> Vec<Query> {
    let node = &mapping.node_label;
    let workload = mapping.workload_labels.join(", ");
    let mut queries = Vec::new();
    for (about, own) in [(About::Nodes, &own.nodes), (About::Workloads, &own.workloads)] {
        for metric in GaugeMetric::ALL {
            let built_in = || match about {
                About::Nodes => Some(of_nodes(metric, node)),
                About::Workloads => of_workloads(metric, &workload),
            };
            let promql =
                own.get(&metric).cloned().or_else(built_in).filter(|promql| !promql.trim().is_empty());
            queries.extend(promql.map(|promql| Query { about, metric, promql }));
        }
    }
    queries
}

/// From node-exporter.
fn of_nodes(metric: GaugeMetric, by: &str) -> String {
    let (disks, networks) = left_out_devices();
    let mean = |name: &str| format!("avg_over_time({name}[$window])");
    let rate = |name: &str| format!("rate({name}[$window])");
    let sum = |inner: String| format!("sum by ({by}) ({inner})");
    match metric {
        GaugeMetric::CpuUsedMillicores => {
            format!("{} * 1000", sum(rate("node_cpu_seconds_total{mode!~\"idle|iowait\"}")))
        }
        GaugeMetric::CpuCapacityMillicores => {
            format!("count by ({by}) ({}) * 1000", mean("node_cpu_seconds_total{mode=\"idle\"}"))
        }
        GaugeMetric::MemoryUsedBytes => sum(format!(
            "{} - {}",
            mean("node_memory_MemTotal_bytes"),
            mean("node_memory_MemAvailable_bytes")
        )),
        GaugeMetric::MemoryCapacityBytes => sum(mean("node_memory_MemTotal_bytes")),
        GaugeMetric::DiskIoBytesPerSecond => sum(format!(
            "{} + {}",
            rate(&format!("node_disk_read_bytes_total{{device!~\"{disks}\"}}")),
            rate(&format!("node_disk_written_bytes_total{{device!~\"{disks}\"}}"))
        )),
        GaugeMetric::NetworkBytesPerSecond => sum(format!(
            "{} + {}",
            rate(&format!("node_network_receive_bytes_total{{device!~\"{networks}\"}}")),
            rate(&format!("node_network_transmit_bytes_total{{device!~\"{networks}\"}}"))
        )),
        GaugeMetric::FilesystemUsedBytes => format!(
            "max by ({by}) ({} - {})",
            mean("node_filesystem_size_bytes{mountpoint=\"/\"}"),
            mean("node_filesystem_free_bytes{mountpoint=\"/\"}")
        ),
        GaugeMetric::FilesystemCapacityBytes => {
            format!("max by ({by}) ({})", mean("node_filesystem_size_bytes{mountpoint=\"/\"}"))
        }
        // Which replicas may be moved is known to the planner alone, which works this out at each snapshot.
        GaugeMetric::CpuBackgroundMillicores => String::new(),
    }
}

/// From cAdvisor, as the kubelet serves it. Rows without a container are sums of the others, or the pod's sandbox, which is
/// the one that has the network.
fn of_workloads(metric: GaugeMetric, by: &str) -> Option<String> {
    let container = "{container!=\"\",container!=\"POD\"}";
    let sum = |inner: String| format!("sum by ({by}) ({inner})");
    Some(match metric {
        GaugeMetric::CpuUsedMillicores => {
            format!("{} * 1000", sum(format!("rate(container_cpu_usage_seconds_total{container}[$window])")))
        }
        GaugeMetric::MemoryUsedBytes => {
            sum(format!("avg_over_time(container_memory_working_set_bytes{container}[$window])"))
        }
        GaugeMetric::DiskIoBytesPerSecond => {
            let disks = left_out_devices().0;
            let disk = format!("{{container!=\"\",container!=\"POD\",device!~\"/dev/({disks})\"}}");
            sum(format!(
                "rate(container_fs_reads_bytes_total{disk}[$window]) + rate(container_fs_writes_bytes_total{disk}[$window])"
            ))
        }
        GaugeMetric::NetworkBytesPerSecond => sum(
            "rate(container_network_receive_bytes_total{pod!=\"\"}[$window]) + rate(container_network_transmit_bytes_total{pod!=\"\"}[$window])"
                .to_owned(),
        ),
        _ => return None,
    })
}
