//! Services, operations and nodes by rank or name.

use super::super::WorldError;
use super::{Placed, Setup};
use crate::Mesh;
use crate::mesh::graph::propagate;
use crate::scenario::Pick;

impl Setup {
    /// Cores in use at reference load by a service on a node.
    fn work_on(&self, placed: &[Placed], service: usize, node: usize) -> f64 {
        let setup = &self.services[service];
        let here = placed.iter().filter(|at| at.service == service && at.node == node).count();
        let each = setup.reference_rps * setup.demand_ms / 1000.0 / f64::from(setup.replicas);
        each * here as f64 / self.nodes[node].speed
    }

    pub(super) fn reference_utilisation(&self, placed: &[Placed], node: usize) -> f64 {
        let work: f64 = (0..self.services.len()).map(|service| self.work_on(placed, service, node)).sum();
        (work + self.nodes[node].background) / self.nodes[node].cores
    }

    /// Nodes by utilisation at reference load, fullest first.
    fn ranked_nodes(&self, placed: &[Placed]) -> Vec<usize> {
        let mut ranked: Vec<usize> = (0..self.nodes.len()).collect();
        let level: Vec<f64> = ranked.iter().map(|node| self.reference_utilisation(placed, *node)).collect();
        ranked.sort_by(|a, b| level[*b].total_cmp(&level[*a]));
        ranked
    }

    /// By rank, fullest first, or by name.
    pub(super) fn pick_node(&self, pick: &Pick, placed: &[Placed]) -> Result<usize, WorldError> {
        let ranked = self.ranked_nodes(placed);
        match pick {
            Pick::Rank(rank) => Ok(ranked[(*rank).min(ranked.len() - 1)]),
            Pick::Word(word) if word == "hottest" => Ok(ranked[0]),
            Pick::Word(word) if word == "coolest" => Ok(ranked[ranked.len() - 1]),
            Pick::Word(name) => self
                .nodes
                .iter()
                .position(|node| *node.id == **name)
                .ok_or_else(|| WorldError::UnknownNode { name: name.clone(), nodes: self.nodes.len() }),
        }
    }

    /// By rank or name; `hottest` and `coolest` are of the fullest and the emptiest node with any work.
    ///
    /// There it is the service whose growth would be felt most on the node and least elsewhere, if possible one
    /// without data: the entry of a mesh, whose load is everybody's load, is no service that grows alone.
    pub(super) fn pick_service(
        &self,
        pick: &Pick,
        mesh: &Mesh,
        placed: &[Placed],
    ) -> Result<usize, WorldError> {
        match pick {
            Pick::Rank(rank) => {
                let work =
                    |service: usize| self.services[service].reference_rps * self.services[service].demand_ms;
                let mut ranked: Vec<usize> = (0..self.services.len()).collect();
                ranked.sort_by(|a, b| work(*b).total_cmp(&work(*a)));
                Ok(ranked[(*rank).min(ranked.len() - 1)])
            }
            Pick::Word(word) if word == "hottest" || word == "coolest" => {
                let mut ranked = self.ranked_nodes(placed);
                if word == "coolest" {
                    ranked.reverse();
                }
                let most_felt_on = |node: usize| {
                    let felt = |service: usize| {
                        let here = self.work_on(placed, service, node);
                        here * here / self.work_with_callees(mesh, service).max(1e-9)
                    };
                    let stateless = |service: usize| !self.services[service].stateful;
                    (0..self.services.len())
                        .filter(|service| self.work_on(placed, *service, node) > 0.0)
                        .max_by(|a, b| stateless(*a).cmp(&stateless(*b)).then(felt(*a).total_cmp(&felt(*b))))
                };
                Ok(ranked.into_iter().find_map(most_felt_on).unwrap_or(0))
            }
            Pick::Word(name) => {
                self.services.iter().position(|service| *service.id == **name).ok_or_else(|| {
                    WorldError::UnknownService { name: name.clone(), services: self.services.len() }
                })
            }
        }
    }

    /// Cores that the requests of a service take, with what they call.
    fn work_with_callees(&self, mesh: &Mesh, service: usize) -> f64 {
        let (_, visits) = propagate(service, mesh.services.len(), &mesh.edges, &mesh.order);
        let core_ms = visits.iter().zip(&self.services).map(|(visits, callee)| visits * callee.demand_ms);
        self.services[service].reference_rps * core_ms.sum::<f64>() / 1000.0
    }

    /// By rank, most requests first, or by name.
    pub(super) fn pick_flow(&self, pick: &Pick) -> Result<usize, WorldError> {
        let operations = self.flows.iter().filter(|flow| !flow.direct).count();
        match pick {
            Pick::Rank(rank) => {
                let mut ranked: Vec<usize> = (0..operations).collect();
                ranked.sort_by(|a, b| self.flows[*b].reference_rps.total_cmp(&self.flows[*a].reference_rps));
                Ok(ranked[(*rank).min(ranked.len() - 1)])
            }
            Pick::Word(name) => self.flows[..operations]
                .iter()
                .position(|flow| *flow.name == **name)
                .ok_or_else(|| WorldError::UnknownOperation { name: name.clone(), operations }),
        }
    }

    /// The factor on a service's load, or on all load, that brings its fullest node to `level`; `amount`
    /// scales what is added. The load of one service adds at most a sixth of the cluster: more than that is no
    /// trouble of a node.
    pub(super) fn factor_to(
        &self,
        mesh: &Mesh,
        placed: &[Placed],
        service: Option<usize>,
        level: f64,
        amount: f64,
    ) -> f64 {
        let bears = |node: &usize| service.is_none_or(|service| self.work_on(placed, service, *node) > 0.0);
        let Some(node) = self.ranked_nodes(placed).into_iter().find(bears) else { return 1.0 };
        let (work, most) = match service {
            Some(service) => {
                let cluster: f64 = self.nodes.iter().map(|node| node.cores * node.speed).sum();
                let all = self.work_with_callees(mesh, service);
                (self.work_on(placed, service, node), 1.0 + cluster / 6.0 / all.max(1e-9))
            }
            None => ((0..self.services.len()).map(|service| self.work_on(placed, service, node)).sum(), 10.0),
        };
        let missing = (level - self.reference_utilisation(placed, node)) * self.nodes[node].cores * amount;
        if work <= 0.0 { 1.0 } else { (1.0 + missing / work).clamp(0.05, most.min(10.0)) }
    }
}
