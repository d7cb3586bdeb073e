//! `foremesh check`: what would go wrong, found before it does.
use crate::{
    args::CheckArgs, calendar::Calendars, causes::chain, clock::Clock, hosts::HostsPlatform,
    platform::Inventory as _, policies, settings::Settings,
};
use foremesh_core::{
    policy::{Condition, Mode},
    topology::{NodeState, Snapshot},
};
use std::process::ExitCode;

/// What was found.
#[derive(Debug, Default)]
struct Report {
    errors: usize,
    warnings: usize,
}

fn ok(what: &str) {
    println!("ok       {what}");
}

impl Report {
    fn warning(&mut self, what: &str) {
        self.warnings += 1;
        println!("warning  {what}");
    }

    fn error(&mut self, what: &str) {
        self.errors += 1;
        println!("error    {what}");
    }

    fn exit(&self) -> ExitCode {
        match (self.errors, self.warnings) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Checks settings, policies and hosts; changes nothing.
///
/// # Errors
/// Never for what it finds, which is printed; the exit code is 1 for errors and 3 for warnings alone.
pub async fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let settings = match Settings::read(&args.config) {
        Ok(settings) => settings,
        Err(error) => {
            report.error(&chain(&error));
            return Ok(report.exit());
        }
    };
    ok(&format!("settings `{}`", args.config.display()));
    check_policies(&settings, &mut report);
    check_calendars(&settings, args.offline, &mut report).await;
    match settings.read_hosts() {
        Err(error) => report.error(&chain(&error)),
        Ok(hosts) => {
            ok(&format!("hosts file `{}`", settings.hosts_file().display()));
            if !args.offline {
                match HostsPlatform::look(hosts, &settings.state_directory, Clock::System).await {
                    Err(error) => report.error(&chain(&error)),
                    Ok(platform) => match platform.snapshot().await {
                        Ok(snapshot) => check_hosts(&snapshot, &mut report),
                        Err(error) => report.error(&chain(&error)),
                    },
                }
            }
        }
    }
    Ok(report.exit())
}

fn check_policies(settings: &Settings, report: &mut Report) {
    let policies = match policies::read_all(&settings.policies) {
        Ok(policies) => policies,
        Err(error) => return report.error(&chain(&error)),
    };
    for policy in &policies {
        if let Err(error) = policies::check_horizon(policy, settings.horizon) {
            report.error(&chain(&error));
            continue;
        }
        for rule in &policy.rules {
            for sustained in rule.when.parts().iter().filter_map(Condition::sustained) {
                let needed_ms = settings.step.ms().saturating_mul(sustained.of as i64);
                if needed_ms > sustained.within_ms {
                    report.warning(&format!(
                        "policy `{}`, rule `{}` wants {} of {} steps of {}, which is longer than its look-ahead",
                        policy.id, rule.name, sustained.steps, sustained.of, settings.step
                    ));
                }
            }
        }
        let name = &policy.id;
        match (policy.mode, policy.waiver.is_some()) {
            (Mode::Auto, true) => {
                report.warning(&format!("policy `{name}` moves without a trial, as its waiver says"));
            }
            (Mode::Approve, true) => {
                report.warning(&format!(
                    "policy `{name}` moves without a trial, as its waiver says, when somebody runs `foremesh approve`"
                ));
            }
            (Mode::Approve, false) => report.warning(&format!(
                "policy `{name}` waits for `foremesh approve`, and it will refuse its plans: nobody waives the trial; \
                 write `trial: {{waivedBy: your name, reason: why}}` in the policy"
            )),
            _ => ok(&format!("policy `{name}`, mode {}", policy.mode.name())),
        }
    }
}

async fn check_calendars(settings: &Settings, offline: bool, report: &mut Report) {
    let set = match Calendars::check(&settings.calendars, !offline, Clock::System).await {
        Ok(set) => set,
        Err(error) => return report.error(&chain(&error)),
    };
    for source in set.sources() {
        for problem in &source.problems {
            report.warning(&format!("calendar `{}`: {problem}", source.name));
        }
        match &source.error {
            Some(why) => report.warning(&format!("calendar `{}` from {}: {why}", source.name, source.from)),
            None if source.good_at.is_none() => ok(&format!("calendar `{}`, not asked", source.name)),
            None => ok(&format!("calendar `{}`", source.name)),
        }
    }
}

fn check_hosts(snapshot: &Snapshot, report: &mut Report) {
    for (id, node) in &snapshot.nodes {
        match &node.state {
            NodeState::Unreachable(why) => report.error(&format!("host `{id}` is unreachable: {why}")),
            NodeState::Cordoned => ok(&format!("host `{id}`, cordoned")),
            NodeState::Ready if node.used.is_none() => report.warning(&format!(
                "host `{id}` does not tell its CPU use, so nothing is ever moved to it; give it a `usage` command"
            )),
            NodeState::Ready => ok(&format!("host `{id}`")),
        }
    }
    for (id, workload) in &snapshot.workloads {
        if workload.replicas.is_empty() {
            report.error(&format!(
                "workload `{id}` runs nowhere; start it, or correct `runsOn` in the hosts file"
            ));
        }
        for (replica, placed) in workload.replicas.iter().filter(|(_, placed)| !placed.ready) {
            report.warning(&format!(
                "replica `{replica}` on `{}` does not answer its ready check",
                placed.node
            ));
        }
    }
}
