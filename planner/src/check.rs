//! `foremesh check`: what would go wrong, found before it does.
use crate::{
    args::CheckArgs,
    calendar::Calendars,
    causes::chain,
    clock::Clock,
    endpoints::ads::AdsSettings,
    hosts::{HostsPlatform, config::Hosts},
    kubernetes::{Documents, Kubernetes},
    platform::Inventory as _,
    policies::{
        self, Policies,
        judge::{Judged, id_of},
    },
    settings::{KubernetesSettings, Platform, Settings, SwarmSettings},
    swarm::Swarm,
};
use foremesh_core::{
    policy::{Condition, Mode},
    topology::{NodeState, Snapshot},
};
use std::{io, path::Path, process::ExitCode};

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
    match &settings.platform {
        Platform::Hosts(file) => check_hosts_file(file, &settings, args.offline, &mut report).await,
        Platform::Kubernetes(_) if args.offline => ok("platform `kubernetes`, not asked"),
        Platform::Kubernetes(cluster) => {
            check_cluster(cluster, &mut report).await;
            check_documents(cluster, &settings, &mut report).await;
        }
        Platform::Swarm(_) if args.offline => ok("platform `swarm`, not asked"),
        Platform::Swarm(swarm) => check_swarm(swarm, &settings, &mut report).await,
    }
    Ok(report.exit())
}

/// Policies of the cluster, as the planner would take them.
async fn check_documents(cluster: &KubernetesSettings, settings: &Settings, report: &mut Report) {
    let of_files = match policies::read_all(&settings.policies) {
        Ok(policies) => Policies::of_files(policies),
        // It is said already.
        Err(_) => return,
    };
    let documents = match Documents::connect(cluster, settings.horizon, Clock::System).await {
        Ok(Some(documents)) => documents,
        Ok(None) => return,
        Err(error) => return report.error(&chain(&error)),
    };
    let policies = documents.policies(of_files);
    for (Judged { stored, policy }, _) in policies.judged() {
        let name = format!("policy `{}` of the cluster", id_of(&stored));
        match policy {
            Ok(policy) => ok(&format!("{name}, mode {}", policy.mode.name())),
            Err(refused) => {
                report.warning(&format!("{name} is not accepted, so it moves nothing: {}", refused.message));
            }
        }
    }
    if policies.now().is_empty() {
        report.warning("there is no policy, so nothing is watched; apply a RelocationPolicy, or name files in `policies`");
    }
}

async fn check_hosts_file(file: &Path, settings: &Settings, offline: bool, report: &mut Report) {
    let hosts = match Hosts::read(file) {
        Ok(hosts) => hosts,
        Err(error) => return report.error(&chain(&error)),
    };
    ok(&format!("hosts file `{}`", file.display()));
    if offline {
        return;
    }
    if let Some(ads) = hosts.ads() {
        check_ads(ads, "traffic.ads.listen", report).await;
    }
    match HostsPlatform::look(hosts, &settings.state_directory, Clock::System).await {
        Err(error) => report.error(&chain(&error)),
        Ok(platform) => match platform.snapshot().await {
            Ok(snapshot) => {
                check_hosts(&snapshot, settings, report);
                platform.owed().await.iter().for_each(|owed| report.warning(owed));
            }
            Err(error) => report.error(&chain(&error)),
        },
    }
}

/// Whether endpoints could be served where they are to be. A planner that runs uses the address itself, so that is no error.
async fn check_ads(ads: &AdsSettings, setting: &str, report: &mut Report) {
    let address = ads.listen;
    match ads.bind().await {
        Ok(_) => ok(&format!("endpoints are served at {address}")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => report.warning(&format!(
            "`{setting}`: something listens on {address}; when it is not this planner, stop it or change the address"
        )),
        Err(error) => report.error(&format!(
            "`{setting}`: address {address} cannot be listened on ({error}); use one of this machine"
        )),
    }
}

async fn check_swarm(swarm: &SwarmSettings, settings: &Settings, report: &mut Report) {
    if let Some(ads) = &swarm.ads {
        check_ads(ads, "platform.swarm.ads.listen", report).await;
    }
    let platform = match Swarm::open(swarm, &settings.state_directory, Clock::System).await {
        Ok(platform) => platform,
        Err(error) => return report.error(&chain(&error)),
    };
    let snapshot = match platform.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => return report.error(&chain(&error)),
    };
    ok(&format!("Docker Swarm at {}", swarm.endpoint));
    for (id, node) in &snapshot.nodes {
        match &node.state {
            NodeState::Unreachable(why) => report.warning(&format!("node `{id}`: {why}")),
            NodeState::Cordoned => ok(&format!("node `{id}`, which takes no new tasks")),
            NodeState::Ready => ok(&format!("node `{id}`")),
        }
    }
    let mut movable = 0;
    for (id, workload) in &snapshot.workloads {
        if let Some(why) = &workload.pinned {
            ok(&format!("service `{id}` stays where it is: {why}"));
        } else {
            movable += 1;
            ok(&format!("service `{id}` can be moved, tasks: {}", workload.replicas.len()));
        }
        if let Some(change) = &workload.scheduling.changing {
            report.warning(&format!("service `{id}` is being changed: {change}"));
        }
    }
    if movable == 0 {
        report.warning("no service can be moved; docs/swarm.md says what one needs");
    }
}

async fn check_cluster(settings: &KubernetesSettings, report: &mut Report) {
    let platform = match Kubernetes::connect(settings, Clock::System).await {
        Ok(platform) => platform,
        Err(error) => return report.error(&chain(&error)),
    };
    match platform.check_staging().await {
        None => {}
        Some(Ok(())) => ok("staging namespace"),
        Some(Err(error)) => report.error(&chain(&error)),
    }
    let snapshot = match platform.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => return report.error(&chain(&error)),
    };
    for (id, node) in &snapshot.nodes {
        match &node.state {
            NodeState::Unreachable(why) => report.warning(&format!("node `{id}`: {why}")),
            NodeState::Cordoned => ok(&format!("node `{id}`, cordoned")),
            NodeState::Ready if node.used.is_none() => report.warning(&format!(
                "nothing tells the CPU use of node `{id}`, so nothing is ever moved to it; run a metrics server, or \
                 name a Prometheus in `signals`"
            )),
            NodeState::Ready => ok(&format!("node `{id}`")),
        }
    }
    if snapshot.workloads.is_empty() {
        report.warning(&format!(
            "no workload is in a namespace that has opted in; run `kubectl label namespace NAME {}=true`",
            settings.opt_in_label
        ));
    }
    for (id, workload) in &snapshot.workloads {
        match &workload.pinned {
            Some(why) => ok(&format!("workload `{id}`, which stays where it is: {why}")),
            None => ok(&format!("workload `{id}`, replicas: {}", workload.replicas.len())),
        }
    }
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
        let staging = match &settings.platform {
            Platform::Kubernetes(cluster) => cluster.staging.is_some(),
            // What is wrong with the file is said where it is read.
            Platform::Hosts(file) => Hosts::read(file).is_ok_and(|hosts| hosts.staging.is_some()),
            Platform::Swarm(_) => false,
        };
        if policy.mode >= Mode::Approve && policy.trial.is_some() {
            if staging {
                ok(&format!("policy `{name}`, mode {}, tries moves first", policy.mode.name()));
            } else {
                report.warning(&format!(
                    "policy `{name}` wants its moves tried, and there is no staging mesh, so it moves nothing; set \
                     `platform.kubernetes.staging`, or `staging` in the hosts file, or write \
                     `trial: {{waivedBy: your name, reason: why}}` in the policy"
                ));
            }
            continue;
        }
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
                "policy `{name}` waits for `foremesh approve`, and it will refuse its plans: nobody waives the trial, \
                 and it is not said how it is made; write `trial: {{requests: [{{path: /...}}]}}` or \
                 `trial: {{waivedBy: your name, reason: why}}` in the policy"
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

fn check_hosts(snapshot: &Snapshot, settings: &Settings, report: &mut Report) {
    let signals = &settings.signals;
    for (id, node) in &snapshot.nodes {
        let is_exported = signals.node_exporters.iter().any(|exporter| exporter.node == id.as_str());
        match &node.state {
            NodeState::Ready if node.used.is_none() && is_exported => {
                ok(&format!("host `{id}`, whose CPU use its node-exporter tells"));
            }
            NodeState::Ready if node.used.is_none() && (signals.prometheus.is_some() || signals.otlp.enabled) => {
                ok(&format!("host `{id}`, whose CPU use Prometheus or OTLP must tell; see `/api/v1/signals`"));
            }
            NodeState::Unreachable(why) => report.error(&format!("host `{id}` is unreachable: {why}")),
            NodeState::Cordoned => ok(&format!("host `{id}`, cordoned")),
            NodeState::Ready if node.used.is_none() => report.warning(&format!(
                "host `{id}` does not tell its CPU use, so nothing is ever moved to it; give it a `usage` command, or a \
                 node-exporter in `signals`"
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
            let because = placed.because.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            report.warning(&format!(
                "replica `{replica}` on `{}` does not answer its ready check{because}",
                placed.node
            ));
        }
    }
}
