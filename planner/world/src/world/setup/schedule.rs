//! When what happens to which service and node.

use std::sync::Arc;

use super::super::WorldError;
use super::super::shapes::{Pulse, amplitude};
use super::super::trouble::{FaultAt, NeighbourAt, Scale};
use super::{Flow, Placed, Setup};
use crate::mesh::graph::propagate;
use crate::output::KnownEvent;
use crate::random::{Draw, Key};
use crate::scenario::{Event, Fault, Neighbour, Pick, Ramp};
use crate::{Mesh, Minutes};

/// What the seed decides about one entry.
#[derive(Clone, Copy)]
struct Chance {
    shift: Key,
    amount: f64,
}

impl Setup {
    pub(super) fn schedule(&mut self, mesh: &Mesh, placed: &[Placed]) -> Result<(), WorldError> {
        let spec = Arc::clone(&self.spec);
        let seed = self.seed;
        let chance = move |list: u64, number: usize| Chance {
            shift: Key::new(seed, Draw::Shift).with(list).with(number as u64),
            amount: amplitude(Key::new(seed, Draw::Amplitude).with(list).with(number as u64)),
        };
        for (number, ramp) in spec.load.ramps.iter().enumerate() {
            self.ramp(mesh, placed, ramp, chance(0, number))?;
        }
        for (number, event) in spec.load.events.iter().enumerate() {
            self.event(mesh, placed, event, chance(1, number))?;
        }
        self.calendar.sort_by(|a, b| (a.start_ms, &a.tag).cmp(&(b.start_ms, &b.tag)));
        for (number, neighbour) in spec.neighbours.iter().enumerate() {
            self.neighbour(placed, neighbour, chance(2, number))?;
        }
        for (number, fault) in spec.faults.iter().enumerate() {
            self.fault(mesh, placed, fault, chance(3, number))?;
        }
        Ok(())
    }

    fn ramp(
        &mut self,
        mesh: &Mesh,
        placed: &[Placed],
        ramp: &Ramp,
        chance: Chance,
    ) -> Result<(), WorldError> {
        let times = [ramp.over, ramp.hold, ramp.fall];
        let pulse = Pulse::new(ramp.at, self.spec.warm_up.0, ramp.every, times, chance.shift);
        let service = ramp.service.as_ref().map(|pick| self.pick_service(pick, mesh, placed)).transpose()?;
        let factor = match (ramp.to, ramp.node_utilisation) {
            (Some(to), _) => 1.0 + (to - 1.0) * chance.amount,
            (None, level) => self.factor_to(mesh, placed, service, level.unwrap_or(1.0), chance.amount),
        };
        let flow = self.flow(mesh, service, ramp.operation.as_ref())?;
        self.trouble.scales.push(Scale { flow, pulse, factor });
        Ok(())
    }

    fn event(
        &mut self,
        mesh: &Mesh,
        placed: &[Placed],
        event: &Event,
        chance: Chance,
    ) -> Result<(), WorldError> {
        let service = event.service.as_ref().map(|pick| self.pick_service(pick, mesh, placed)).transpose()?;
        let flow = self.flow(mesh, service, event.operation.as_ref())?;
        let factor = 1.0 + (event.uplift - 1.0) * chance.amount;
        let times = [event.rise, Minutes((event.lasts.0 - 2 * event.rise.0).max(0)), event.rise];
        for (which, at) in event.at.iter().enumerate() {
            let pulse =
                Pulse::new(*at, self.spec.warm_up.0, event.every, times, chance.shift.with(which as u64));
            for begin in pulse.begins(self.last_minute()) {
                let start_ms = self.start_ms + begin * 60_000;
                let end_ms = start_ms + pulse.lasts() * 60_000;
                self.calendar.push(KnownEvent { tag: event.tag.clone(), start_ms, end_ms });
            }
            self.trouble.scales.push(Scale { flow, pulse, factor });
        }
        Ok(())
    }

    fn neighbour(
        &mut self,
        placed: &[Placed],
        neighbour: &Neighbour,
        chance: Chance,
    ) -> Result<(), WorldError> {
        let times = [neighbour.over, neighbour.hold, neighbour.fall];
        let pulse = Pulse::new(neighbour.at, self.spec.warm_up.0, neighbour.every, times, chance.shift);
        let node = self.pick_node(&neighbour.node, placed)?;
        let wanted = neighbour.share.unwrap_or_else(|| {
            let level = neighbour.node_utilisation.unwrap_or(0.0);
            (level - self.reference_utilisation(placed, node)).max(0.0)
        });
        let cores = wanted * chance.amount * self.nodes[node].cores;
        self.trouble.neighbours.push(NeighbourAt { node, pulse, cores });
        Ok(())
    }

    fn fault(
        &mut self,
        mesh: &Mesh,
        placed: &[Placed],
        fault: &Fault,
        chance: Chance,
    ) -> Result<(), WorldError> {
        let times = [fault.over, Minutes((fault.lasts.0 - fault.over.0).max(0)), Minutes(0)];
        let pulse = Pulse::new(fault.at, self.spec.warm_up.0, None, times, chance.shift);
        let service = self.pick_service(&fault.service, mesh, placed)?;
        self.trouble.faults.push(FaultAt {
            service,
            pulse,
            demand: (fault.demand_factor - 1.0) * chance.amount,
            latency: (fault.latency_factor - 1.0) * chance.amount,
            added_ms: fault.added_latency_ms * chance.amount,
            added_objectives: fault.added_objectives * chance.amount,
            errors: (fault.error_share * chance.amount).min(1.0),
            explains: self.waiting_for(service),
        });
        Ok(())
    }

    /// The flow of a service, of an operation, or of everything.
    fn flow(
        &mut self,
        mesh: &Mesh,
        service: Option<usize>,
        operation: Option<&Pick>,
    ) -> Result<Option<usize>, WorldError> {
        match (service, operation) {
            (Some(service), _) => Ok(Some(self.direct_flow(mesh, service))),
            (None, Some(pick)) => self.pick_flow(pick).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The flow of a service's own load, made when it is first needed.
    fn direct_flow(&mut self, mesh: &Mesh, service: usize) -> usize {
        let id = self.services[service].id.clone();
        if let Some(known) = self.flows.iter().position(|flow| flow.direct && flow.name == id) {
            return known;
        }
        let (calls, visits) = propagate(service, mesh.services.len(), &mesh.edges, &mesh.order);
        let reference_rps = self.services[service].reference_rps;
        self.flows.push(Flow { direct: true, ..Flow::new(mesh, id, reference_rps, visits, calls) });
        self.flows.len() - 1
    }

    /// The service and those that wait for it, directly or not.
    fn waiting_for(&self, service: usize) -> Vec<bool> {
        let mut waits = vec![false; self.services.len()];
        waits[service] = true;
        for caller in &self.callees_first {
            let calls = |edge: &usize| self.edges[*edge].sync && waits[self.edges[*edge].to];
            waits[*caller] |= self.services[*caller].out.iter().any(calls);
        }
        waits
    }
}
