//! Room on a node: by what replicas ask for, whatever is in use, and by the memory that is forecast.
use crate::{
    gauge::GaugeMetric,
    placement::layout::{Layout, NodeIndex, WorkloadIndex, peak},
    plan::RejectionReason,
};

/// Share of a node's memory that may be forecast in use. A node that runs out of memory kills, it does not slow down,
/// and the pages that hold its files count as free but are needed too.
const MEMORY_SHARE: f64 = 0.9;

/// What sums of fractions may be off by, in millicores and bytes.
const ROUNDING: f64 = 1e-6;

/// Whether one more replica finds room by what all replicas there ask for.
pub(super) fn room(
    layout: &Layout<'_>,
    workload: WorkloadIndex,
    to: NodeIndex,
) -> Result<(), RejectionReason> {
    let (slot, wanted) = (&layout.nodes[to.0], layout.workloads[workload.0].workload.requests);
    if let Some(limit) = slot.node.replica_limit.filter(|limit| slot.replicas >= *limit) {
        return Err(RejectionReason::NodeFull { on_node: slot.replicas, limit });
    }
    let capacity_millicores = slot.node.capacity.get();
    let free_millicores = (capacity_millicores - slot.cpu).max(0.0);
    if let Some(needed_millicores) =
        wanted.cpu_millicores.filter(|needed| *needed > free_millicores + ROUNDING)
    {
        return Err(RejectionReason::NotEnoughCpuRequested {
            needed_millicores,
            free_millicores,
            capacity_millicores,
        });
    }
    let Some(capacity_bytes) = slot.node.memory_bytes else { return Ok(()) };
    let free_bytes = (capacity_bytes - slot.memory).max(0.0);
    match wanted.memory_bytes.filter(|needed| *needed > free_bytes + ROUNDING) {
        Some(needed_bytes) => {
            Err(RejectionReason::NotEnoughMemoryRequested { needed_bytes, free_bytes, capacity_bytes })
        }
        None => Ok(()),
    }
}

/// Whether the node's memory, as forecast over the look-ahead, has room for one more replica. Where the memory of
/// either is not known, nothing follows from it.
pub(super) fn memory_ahead(
    layout: &Layout<'_>,
    workload: WorkloadIndex,
    to: NodeIndex,
    within_ms: i64,
) -> Result<(), RejectionReason> {
    let (slot, inputs) = (&layout.nodes[to.0], &layout.inputs);
    let forecasts = inputs.resources.nodes.get(slot.id);
    let forecast = forecasts.and_then(|of| of.get(&GaugeMetric::MemoryUsedBytes)?.as_ref().ok());
    let until = inputs.now.plus_ms(within_ms);
    let used = forecast.and_then(|forecast| peak(forecast, |at| at < until));
    let known = slot.node.memory_bytes.zip(used).zip(layout.memory_of_replica(workload));
    let Some(((capacity, used), needed_bytes)) = known else { return Ok(()) };
    let free_bytes = (capacity * MEMORY_SHARE - used - slot.arriving_memory).max(0.0);
    if needed_bytes > free_bytes {
        return Err(RejectionReason::NotEnoughMemory { needed_bytes, free_bytes });
    }
    Ok(())
}
