//! How evenly the replicas of a workload are spread, and would be after a move.
use super::admits::selected;
use crate::{
    placement::layout::{Count, Layout, NodeIndex, WorkloadIndex},
    plan::RejectionReason,
    topology::{Spread, TopologyKey},
};

/// One spread condition, counted once so that each node is judged without looking at all the others.
#[derive(Clone, Debug)]
pub(super) struct Spreading {
    over: TopologyKey,
    limit: usize,
    /// How many domains hold so many replicas: now, successors on their way and their predecessors both counted.
    now: Vec<u32>,
    /// The same when all moves are over.
    after: Vec<u32>,
}

impl Spreading {
    /// Counts the domains that the workload may be in. Those that it may not be in need not hold any of it.
    pub(super) fn new(layout: &Layout<'_>, workload: WorkloadIndex, spread: Spread) -> Self {
        let mut seen = vec![false; layout.zones.len()];
        let (mut now, mut after) = (Vec::new(), Vec::new());
        for node in layout.node_indices() {
            let slot = &layout.nodes[node.0];
            if selected(layout.workloads[workload.0].workload, slot.id, slot.node).is_err() {
                continue;
            }
            if spread.over == TopologyKey::Zone {
                match slot.zone {
                    Some(zone) if !seen[zone] => seen[zone] = true,
                    _ => continue,
                }
            }
            let count = layout.count(workload, spread.over, node);
            add(&mut now, count.present());
            add(&mut after, count.after());
        }
        Self { over: spread.over, limit: spread.max_skew, now, after }
    }

    /// Whether one replica may go from a node to another.
    ///
    /// Judged twice. When the successor starts, the old replica still runs, and a scheduler that spreads sees both. When
    /// the old one is gone, its domain holds one less, and the difference may not be too large then either, unless it was
    /// as large before.
    pub(super) fn allows(
        &self,
        layout: &Layout<'_>,
        workload: WorkloadIndex,
        from: NodeIndex,
        to: NodeIndex,
    ) -> Result<(), RejectionReason> {
        let (Some(target), source) = (layout.domain(self.over, to), layout.domain(self.over, from)) else {
            return Err(RejectionReason::ZoneUnknown { bound: "the spread of its replicas".to_owned() });
        };
        let there = layout.count(workload, self.over, to);
        let skew =
            (there.present() as usize + 1) - fewest(&self.now, &[(there.present(), there.present() + 1)]);
        let over = self.over;
        if skew > self.limit {
            return Err(RejectionReason::Skew { over, skew, limit: self.limit });
        }
        if source == Some(target) {
            return Ok(());
        }
        let mut changed = [(there.after(), there.after() + 1), (0, 0)];
        if source.is_some() {
            let here: Count = layout.count(workload, over, from);
            changed[1] = (here.after(), here.after().saturating_sub(1));
        }
        let skew = most(&self.after, &changed) - fewest(&self.after, &changed);
        let before = most(&self.after, &[]) - fewest(&self.after, &[]);
        if skew > self.limit.max(before) {
            return Err(RejectionReason::Skew { over, skew, limit: self.limit });
        }
        Ok(())
    }
}

fn add(domains: &mut Vec<u32>, count: u32) {
    let count = count as usize;
    if domains.len() <= count {
        domains.resize(count + 1, 0);
    }
    domains[count] += 1;
}

/// How many domains hold `count` replicas after some went from one count to another.
fn domains_with(domains: &[u32], changed: &[(u32, u32)], count: usize) -> i64 {
    let now = domains.get(count).copied().unwrap_or(0);
    let gone = changed.iter().filter(|(before, _)| *before as usize == count).count();
    let come = changed.iter().filter(|(_, after)| *after as usize == count).count();
    i64::from(now) - i64::try_from(gone).unwrap_or(0) + i64::try_from(come).unwrap_or(0)
}

fn fewest(domains: &[u32], changed: &[(u32, u32)]) -> usize {
    (0..=domains.len()).find(|count| domains_with(domains, changed, *count) > 0).unwrap_or(0)
}

fn most(domains: &[u32], changed: &[(u32, u32)]) -> usize {
    (0..=domains.len()).rev().find(|count| domains_with(domains, changed, *count) > 0).unwrap_or(0)
}
