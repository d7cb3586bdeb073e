//! Whole decisions about large meshes, part by part.
use super::{
    BenchError, IdleReport, MeshReport, PlanBench,
    mesh::{Shape, made_up},
    mib,
};
use crate::backtest::{cpu::Cpu, report::significant, score::median};
use foremesh_core::{
    decide::{assess_services, decide, risks},
    inputs::OwnedInputs,
    placement::place_in,
    plan::Plan,
    policy::Mode,
    twin::MeshModel,
    verify::verify,
};

/// Parts of one run, in CPU seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    assess: f64,
    build: f64,
    place: f64,
    plan: f64,
    decide: f64,
    verify: f64,
}

/// Measures decisions about one mesh.
///
/// # Errors
/// [`BenchError`] when the mesh cannot be made, or a decision fails.
pub(super) fn measure(services: usize, nodes: usize, bench: &PlanBench) -> Result<MeshReport, BenchError> {
    let inputs = made_up(Shape { services, nodes, at_risk: bench.at_risk, seed: bench.seed })?;
    let inputs_rss_mib = mib("VmRSS:");
    let mut times = Vec::with_capacity(bench.runs);
    let mut seen = None;
    for _ in 0..bench.runs.max(1) {
        let (time, report) = once(&inputs)?;
        times.push(time);
        seen = Some(report);
    }
    let of = |part: &dyn Fn(&Times) -> f64| {
        let values: Vec<f64> = times.iter().map(part).collect();
        significant(median(values).unwrap_or(f64::NAN), 3)
    };
    let mut report = seen.ok_or_else(|| BenchError::MadeUp("nothing was run".to_owned()))?;
    report.runs = times.len();
    report.assess_seconds = of(&|t| t.assess);
    report.build_seconds = of(&|t| t.build);
    report.place_seconds = of(&|t| t.place);
    report.plan_seconds = of(&|t| t.plan);
    report.decide_seconds = of(&|t| t.decide);
    report.verify_seconds = of(&|t| t.verify);
    report.inputs_rss_mib = inputs_rss_mib;
    report.peak_rss_mib = mib("VmHWM:");
    Ok(report)
}

fn once(owned: &OwnedInputs) -> Result<(Times, MeshReport), BenchError> {
    let inputs = owned.borrow();
    let mut times = Times::default();
    let cpu = Cpu::start();
    let decision = decide(&inputs)?;
    times.decide = cpu.seconds();

    let cpu = Cpu::start();
    let assessments = assess_services(&inputs);
    times.assess = cpu.seconds();
    let at_risk = risks(&inputs, &assessments, Mode::Auto);
    let cpu = Cpu::start();
    let mesh = MeshModel::build(&inputs);
    times.build = cpu.seconds();
    let placement = place_in(&inputs, &mesh, &at_risk, &[]);
    times.place = cpu.seconds();
    let cpu = Cpu::start();
    let plan = Plan::build(&inputs, &placement)?;
    times.plan = cpu.seconds();
    if plan != decision.plan {
        return Err(BenchError::MadeUp("the same inputs gave two plans".to_owned()));
    }
    let cpu = Cpu::start();
    if let Some(plan) = plan {
        verify(plan, &inputs).map_err(|error| BenchError::MadeUp(format!("the checker refuses: {error}")))?;
    }
    times.verify = cpu.seconds();
    let kept = |service: &&foremesh_core::ids::ServiceId| {
        placement.effects.iter().any(|effect| {
            let below =
                effect.move_ms.zip(effect.objective_ms).is_some_and(|(ms, objective)| ms <= objective);
            effect.service == **service && below
        })
    };
    let report = MeshReport {
        services: inputs.services.len(),
        nodes: inputs.snapshot.nodes.len(),
        replicas: inputs.snapshot.workloads.values().map(|workload| workload.replicas.len()).sum(),
        at_risk: at_risk.len(),
        cured: at_risk.iter().map(|risk| risk.service).filter(kept).count(),
        moves: placement.moves.len(),
        later: placement.later.len(),
        runs: 0,
        assess_seconds: 0.0,
        build_seconds: 0.0,
        place_seconds: 0.0,
        plan_seconds: 0.0,
        decide_seconds: 0.0,
        verify_seconds: 0.0,
        inputs_rss_mib: 0.0,
        peak_rss_mib: 0.0,
        cost_staying: significant(placement.costs.map_or(0.0, |costs| costs.staying.total()), 4),
        cost_chosen: significant(placement.costs.map_or(0.0, |costs| costs.chosen.total()), 4),
    };
    Ok((times, report))
}

/// Measures decisions about a mesh in which all is well.
///
/// # Errors
/// [`BenchError`] when the mesh cannot be made, or a decision fails.
pub(super) fn idle(services: usize, nodes: usize, bench: &PlanBench) -> Result<IdleReport, BenchError> {
    let owned = made_up(Shape { services, nodes, at_risk: 0.0, seed: bench.seed })?;
    let inputs = owned.borrow();
    let mut times = Vec::with_capacity(bench.runs);
    for _ in 0..bench.runs.max(1) {
        let cpu = Cpu::start();
        let decision = decide(&inputs)?;
        times.push(cpu.seconds());
        if decision.plan.is_some() {
            return Err(BenchError::MadeUp("a mesh in which all is well is moved".to_owned()));
        }
    }
    let decide_seconds = significant(median(times).unwrap_or(f64::NAN), 3);
    Ok(IdleReport { services, nodes, decide_seconds })
}
