//! A decision as a person would tell it.
use crate::world::World;
use foremesh_core::{
    decide::{Decision, decide},
    report::{AuditRecord, records},
    twin::simulate,
    verify::verify,
};
use std::{collections::BTreeMap, fmt};

pub(crate) struct Story {
    pub(crate) decision: Decision,
    pub(crate) records: Vec<AuditRecord>,
}

impl Story {
    /// Decides. A plan must pass the checker and the twin, or it is none.
    pub(crate) fn of(world: &World) -> Self {
        let inputs = world.inputs();
        let decision = decide(&inputs).unwrap();
        if let Some(plan) = &decision.plan {
            simulate(verify(plan.clone(), &inputs).unwrap(), &inputs).unwrap();
        }
        let records = records(&inputs, &decision, 1);
        Self { decision, records }
    }

    /// Each move as `cart-1: a to b`, in their order.
    pub(crate) fn moves(&self) -> Vec<String> {
        let moves = self.decision.plan.iter().flat_map(|plan| &plan.moves);
        moves.map(|planned| format!("{}: {} to {}", planned.replica, planned.from, planned.to)).collect()
    }

    /// How many replicas each node gets.
    pub(crate) fn arrivals(&self) -> BTreeMap<String, usize> {
        let mut arrivals = BTreeMap::new();
        for planned in self.decision.plan.iter().flat_map(|plan| &plan.moves) {
            *arrivals.entry(planned.to.to_string()).or_default() += 1;
        }
        arrivals
    }

    /// Why a service stays; empty when it does not.
    pub(crate) fn stays(&self, service: &str) -> String {
        let found = self.decision.nothing_because.iter().find(|(staying, _)| staying.as_str() == service);
        found.map(|(_, because)| because.to_string()).unwrap_or_default()
    }

    /// Why each node was refused for a service, as explained; all reasons where several replicas were looked at.
    pub(crate) fn refusals(&self, service: &str) -> BTreeMap<String, String> {
        let mut refusals: BTreeMap<String, String> = BTreeMap::new();
        let explained = self.explained(service);
        let lines = explained.lines().filter_map(|line| line.trim().strip_prefix("not "));
        for (node, why) in lines.filter_map(|line| line.split_once(": ")) {
            let known = refusals.entry(node.to_owned()).or_default();
            if !known.is_empty() {
                known.push_str("; ");
            }
            known.push_str(why);
        }
        refusals
    }

    /// All that is said about a service.
    pub(crate) fn explained(&self, service: &str) -> String {
        let found = self.records.iter().find(|record| record.service.as_str() == service);
        found.map(AuditRecord::explain).unwrap_or_default()
    }
}

/// The moves in their order, then every service with its reason. What is measured is left out but for what decided.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, planned) in self.moves().into_iter().enumerate() {
            writeln!(f, "{}. {planned}", at + 1)?;
        }
        let mut text: String = self.records.iter().map(AuditRecord::explain).collect();
        let plans = [&self.decision.plan, &self.decision.recommended].into_iter().flatten();
        for plan in plans {
            text = text.replace(plan.id.as_str(), "[plan]");
        }
        let told = |line: &&str| !line.starts_with("  now:") && !line.starts_with("  forecast by");
        text.lines().filter(told).try_for_each(|line| writeln!(f, "{line}"))
    }
}
