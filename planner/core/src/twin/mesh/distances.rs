//! How far nodes are from one another, ready to be asked millions of times.
use super::NodeModel;
use crate::{
    ids::{NodeId, Zone},
    learned::Proximity,
};

/// No zone is known.
pub(super) const NO_ZONE: u32 = u32::MAX;

/// Distances by index.
#[derive(Clone, Debug, Default)]
pub(in crate::twin) struct Distances {
    /// Pairs of nodes, the smaller index first, sorted.
    pairs: Vec<(u32, u32, f32)>,
    zones: usize,
    /// Between zones, row by row; not a number where it is not known.
    between_zones: Vec<f32>,
}

impl Distances {
    pub(super) fn new(proximity: &Proximity, nodes: &[NodeId], zones: &[&Zone]) -> Self {
        let node = |id: &NodeId| nodes.binary_search(id).ok().map(|ix| ix as u32);
        let known = |ms: f64| ms.is_finite().then_some(ms.max(0.0) as f32);
        let mut pairs: Vec<(u32, u32, f32)> = proximity
            .nodes
            .iter()
            .filter_map(|(a, b, distance)| {
                let (a, b) = (node(a)?, node(b)?);
                Some((a.min(b), a.max(b), known(distance.mean_ms)?))
            })
            .collect();
        pairs.sort_by_key(|(a, b, _)| (*a, *b));
        let mut between_zones = vec![f32::NAN; zones.len() * zones.len()];
        for (a, b, distance) in &proximity.zones {
            let place = |zone: &Zone| zones.binary_search(&zone).ok();
            let (Some(a), Some(b), Some(ms)) = (place(a), place(b), known(distance.mean_ms)) else {
                continue;
            };
            between_zones[a * zones.len() + b] = ms;
            between_zones[b * zones.len() + a] = ms;
        }
        Self { pairs, zones: zones.len(), between_zones }
    }

    /// Milliseconds there and back; 0 where nothing is known.
    pub(in crate::twin) fn between(&self, a: u32, b: u32, nodes: &[NodeModel]) -> f32 {
        if !self.pairs.is_empty()
            && let Ok(at) = self.pairs.binary_search_by_key(&(a.min(b), a.max(b)), |(a, b, _)| (*a, *b))
        {
            return self.pairs[at].2;
        }
        let (from, to) = (nodes[a as usize].zone, nodes[b as usize].zone);
        if from == NO_ZONE || to == NO_ZONE || a == b {
            return 0.0;
        }
        let ms = self.between_zones[from as usize * self.zones + to as usize];
        if ms.is_nan() { 0.0 } else { ms }
    }
}
