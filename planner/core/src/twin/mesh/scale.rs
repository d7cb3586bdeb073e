//! Another load than the forecast one, for questions of the kind "what if".
use super::{
    super::{
        MEDIAN,
        lanes::{KNOTS, LANES, Lanes, lane},
    },
    MeshModel, ServiceIx,
};

impl MeshModel {
    /// Multiplies the requests of services by factors, and adds to whom they call what follows from that. What runs on
    /// the nodes beside them stays.
    pub fn scale_load(&mut self, factors: &[(ServiceIx, f64)]) {
        let mut added: Vec<Lanes> = vec![[0.0; LANES]; self.services.len()];
        for (service, factor) in factors {
            let more = (factor - 1.0) as f32;
            added[*service] = self.rates[*service].map(|rate| rate * more);
        }
        // Callees come before those who wait for them, so callers are looked at first. What nobody waits for may be
        // called out of that order: it gets its share, but does not pass it on.
        for service in self.calls.order.iter().rev() {
            let service = *service as usize;
            let own = added[service];
            for edge in self.calls.of(service) {
                let call = self.calls.edges[edge];
                for (added, own) in added[call.callee as usize].iter_mut().zip(own) {
                    *added += own * call.calls;
                }
            }
        }
        for (service, added) in added.iter().enumerate() {
            if added.iter().all(|added| *added == 0.0) {
                continue;
            }
            let rates = &mut self.rates[service];
            for (rate, added) in rates.iter_mut().zip(added) {
                *rate = (*rate + added).max(0.0);
            }
            let model = &mut self.services[service];
            let requests = (0..KNOTS).map(|knot| rates[lane(knot, MEDIAN)]).fold(0.0, f32::max);
            if model.requests > 0.0 {
                model.weight *= requests / model.requests;
            }
            model.requests = requests;
        }
    }
}
