//! How the requests of a service are shared out between its replicas.
use super::{
    super::mesh::{MeshModel, ReplicaIx, ServiceIx},
    Evaluation,
    layout::Layout,
};
use crate::plan::Move;

impl MeshModel {
    /// The layout once the moves in flight are over.
    pub(super) fn layout_of_start(&self) -> Layout {
        let mut layout = Layout::new(self, |replica| self.replicas[replica].start);
        let weights: Vec<f32> = self.replicas.iter().map(|replica| replica.weight).collect();
        let mut changed = false;
        for service in 0..self.services.len() {
            for (replica, share) in self.shares(&weights, service) {
                if share.to_bits() != layout.share[replica].to_bits() {
                    changed = true;
                    layout.share[replica] = share;
                    layout.limit(self, replica, |lane| self.rates[service][lane]);
                }
            }
        }
        for edge in 0..if changed { layout.edge_ms.len() } else { 0 } {
            layout.measure(self, edge);
        }
        layout
    }

    /// Part of its requests that each replica of a service gets by these weights; even parts when none has any.
    fn shares(&self, weights: &[f32], service: ServiceIx) -> impl Iterator<Item = (ReplicaIx, f32)> {
        let replicas = self.of_service(service);
        let all: f32 = replicas.iter().map(|replica| weights[*replica as usize]).sum();
        let even = 1.0 / replicas.len().max(1) as f32;
        let share = move |replica: ReplicaIx| if all > 0.0 { weights[replica] / all } else { even };
        replicas.iter().map(move |replica| (*replica as usize, share(*replica as usize)))
    }
}

impl Evaluation<'_> {
    /// Weight of a replica against the others of its service.
    pub fn weight_of(&self, replica: ReplicaIx) -> f64 {
        f64::from(self.weights[replica])
    }

    /// Gives a replica this weight; the other replicas of its service get more or fewer requests by it.
    pub fn weigh(&mut self, replica: ReplicaIx, weight: f64) {
        self.weights[replica] = weight as f32;
        let service = self.mesh.service_of(replica);
        let shares: Vec<(ReplicaIx, f32)> = self.mesh.shares(&self.weights, service).collect();
        for (other, share) in shares {
            if share.to_bits() != self.layout.share[other].to_bits() {
                self.set_share(other, share);
            }
        }
    }

    /// The layout when a planned move is over: the replica on its target, and the weights of afterwards. `None`, with
    /// nothing changed, when the twin does not know one of the ends.
    pub fn carry_out(&mut self, planned: &Move) -> Option<ReplicaIx> {
        let mesh = self.mesh;
        let replica = mesh.replica_ix(&planned.workload, &planned.replica)?;
        if let Some(target) = &planned.shift_to {
            let target = mesh.replica_ix(&planned.workload, target)?;
            self.weigh(replica, f64::from(planned.traffic.after.source));
            self.weigh(target, f64::from(planned.traffic.after.target));
            return Some(replica);
        }
        let to = mesh.node_ix(&planned.to)?;
        self.move_replica(replica, to);
        if planned.traffic.after.target != planned.traffic.before.source {
            self.weigh(replica, f64::from(planned.traffic.after.target));
        }
        Some(replica)
    }
}
