//! What was measured, for programs and for people.
use serde::Serialize;
use std::fmt::Write as _;

/// What was measured. Times are CPU times of one core.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanReport {
    /// Seed of all meshes.
    pub seed: u64,
    /// Decisions about meshes with services at risk.
    pub meshes: Vec<MeshReport>,
    /// The same of a mesh in which all is well.
    pub idle: Option<IdleReport>,
    /// Small placements beside their exact optimum; `None` when none was asked for.
    pub small: Option<SmallReport>,
    /// Highest memory of the process over all of it, in MiB.
    pub peak_rss_mib: f64,
}

/// One decision about one mesh.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeshReport {
    /// Services.
    pub services: usize,
    /// Nodes.
    pub nodes: usize,
    /// Replicas.
    pub replicas: usize,
    /// Services for which a breach is predicted.
    pub at_risk: usize,
    /// Of these, those that the twin expects to keep their objective with the plan.
    pub cured: usize,
    /// Moves of the plan.
    pub moves: usize,
    /// Moves that would follow it.
    pub later: usize,
    /// Runs; each figure is the median over them.
    pub runs: usize,
    /// Policies against forecasts, in seconds.
    pub assess_seconds: f64,
    /// The mesh as numbers, in seconds.
    pub build_seconds: f64,
    /// The placement, the building included, in seconds.
    pub place_seconds: f64,
    /// The plan with the digest of all inputs, in seconds.
    pub plan_seconds: f64,
    /// The whole decision, in seconds.
    pub decide_seconds: f64,
    /// The checker, in seconds.
    pub verify_seconds: f64,
    /// Memory of the process before the decision, the inputs included, in MiB.
    pub inputs_rss_mib: f64,
    /// Highest memory of the process until after the decision, in MiB.
    pub peak_rss_mib: f64,
    /// Cost of staying, in tier-weighted requests per second at risk.
    pub cost_staying: f64,
    /// Cost of the plan.
    pub cost_chosen: f64,
}

/// A decision that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IdleReport {
    /// Services, all of them healthy.
    pub services: usize,
    /// Nodes.
    pub nodes: usize,
    /// The whole decision, in seconds.
    pub decide_seconds: f64,
}

/// Small placements beside their exact optimum, on the same cost and constraints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SmallReport {
    /// Cases.
    pub cases: usize,
    /// Cases in which something can be gained; the gap is about these.
    pub improvable: usize,
    /// Cases whose cost is a sum over nodes and pairs, because no service waits for another: those that the exact solver
    /// was asked about.
    pub asked: usize,
    /// Of these, those in which it says what trying every layout says.
    pub agreed: usize,
    /// Mean gap: how much of the exact gain was missed, as a share.
    pub mean_gap: f64,
    /// Highest gap.
    pub max_gap: f64,
    /// Share of the cases with a gap above 1 %.
    pub share_above_1_percent: f64,
    /// Mean excess over the exact cost, as a share of that cost.
    pub mean_excess_cost: f64,
    /// Highest such excess.
    pub max_excess_cost: f64,
    /// Search, in milliseconds for each case.
    pub search_ms: f64,
    /// Solver, in milliseconds for each case that it was asked for.
    pub solver_ms: f64,
    /// Trying every layout, in milliseconds for each case.
    pub trying_ms: f64,
}

/// For people.
pub fn render(report: &PlanReport) -> String {
    let mut text = String::new();
    for mesh in &report.meshes {
        let _ = write!(
            text,
            "{} services ({} replicas) on {} nodes, {} at risk: {} moves, {} cured, cost {} -> {}\n  \
             decide {} s of CPU (assess {}, build {}, place {}, plan {}), verify {} s; \
             memory {} MiB before, peak {} MiB\n",
            mesh.services,
            mesh.replicas,
            mesh.nodes,
            mesh.at_risk,
            mesh.moves,
            mesh.cured,
            mesh.cost_staying,
            mesh.cost_chosen,
            mesh.decide_seconds,
            mesh.assess_seconds,
            mesh.build_seconds,
            mesh.place_seconds,
            mesh.plan_seconds,
            mesh.verify_seconds,
            mesh.inputs_rss_mib,
            mesh.peak_rss_mib
        );
    }
    if let Some(idle) = &report.idle {
        let _ = writeln!(
            text,
            "{} healthy services on {} nodes: decide {} s of CPU",
            idle.services, idle.nodes, idle.decide_seconds
        );
    }
    if let Some(small) = &report.small {
        let _ = write!(
            text,
            "{} small cases, {} of them with something to gain: gap mean {:.4} %, highest {:.3} %, above 1 % in {:.1} % \
             of them; the exact solver, asked about the {} in which nobody waits, agrees in {}\n  excess cost mean {:.4} %, highest {:.3} %; search {} ms, solver {} ms, \
             every layout {} ms\n",
            small.cases,
            small.improvable,
            small.mean_gap * 100.0,
            small.max_gap * 100.0,
            small.share_above_1_percent * 100.0,
            small.asked,
            small.agreed,
            small.mean_excess_cost * 100.0,
            small.max_excess_cost * 100.0,
            small.search_ms,
            small.solver_ms,
            small.trying_ms
        );
    }
    let _ = write!(text, "peak memory {} MiB", report.peak_rss_mib);
    text
}
