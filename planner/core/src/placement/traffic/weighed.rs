//! What moves come to: who is still at risk with them, and what that costs.
use crate::{
    ids::ServiceId,
    inputs::Inputs,
    placement::{Chosen, Cost, MeshSpace, Risk, case::Case, space_with, told},
    plan::{Costs, Effect, Move},
    twin::{MeshModel, ServiceIx},
};

/// The mesh with moves that were chosen for one plan.
pub(super) struct Weighed<'m, 'a> {
    with: MeshSpace<'m, 'a>,
    without: MeshSpace<'m, 'a>,
    /// Services with a predicted breach that they do not cure.
    uncured: usize,
    cost: Cost,
}

impl<'m, 'a> Weighed<'m, 'a> {
    pub(super) fn of(
        inputs: &Inputs<'a>,
        mesh: &'m MeshModel,
        risks: &[Risk<'a>],
        before: &[Move],
        moves: &[Move],
    ) -> Self {
        let space = |beside| space_with(inputs, mesh, risks, Chosen { before, beside });
        let (with, without) = (space(moves), space(&[]));
        let breach = |risk: &&Risk<'a>| risk.trigger.breach().is_some();
        let cured = |risk: &Risk<'a>| {
            let service = mesh.service_ix(risk.service)?;
            Case::looked_at(&without, risk, service).ok()?.cured(&with)
        };
        let uncured = risks.iter().filter(breach).filter(|risk| cured(risk).is_none()).count();
        let mut cost = with.cost();
        cost.disruption = moves.iter().fold(0.0, |sum, planned| sum + without.disruption_of(planned));
        Self { with, without, uncured, cost }
    }

    /// Whether it leaves fewer services at risk, or as many for less.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let by_cost = || self.cost.total() < other.cost.total();
        self.uncured < other.uncured || self.uncured == other.uncured && by_cost()
    }

    /// Against doing nothing.
    pub(super) fn costs(&self) -> Costs {
        Costs { staying: self.without.cost(), chosen: self.cost }
    }

    /// What services come to with the moves.
    pub(super) fn effects<'s>(&self, services: impl Iterator<Item = &'s ServiceId>) -> Vec<Effect> {
        let mut services: Vec<ServiceIx> =
            services.filter_map(|service| self.with.mesh.service_ix(service)).collect();
        services.sort_unstable();
        services.dedup();
        told::effects(&services, self.with.evaluation(), self.without.evaluation())
    }
}
