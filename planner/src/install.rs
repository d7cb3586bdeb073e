//! `foremesh install`: the objects that put the filter into the sidecars of a mesh, for `kubectl apply`.
mod telemetry;

pub use telemetry::{Telemetry, TelemetryApi};

use crate::{args::InstallArgs, client, filter_module::DIGEST_PATH};
use anyhow::Context as _;
use foremesh_kubernetes::{ClusterSettings, served};
use std::{io::Write as _, process::ExitCode};

/// Group and version of Istio's own extensions.
const EXTENSIONS: &str = "extensions.istio.io/v1alpha1";

/// Prints the objects as YAML; changes nothing.
///
/// # Errors
/// When the digest of the module is not to be had, or the cluster cannot be asked what it serves.
pub async fn install(args: &InstallArgs) -> anyhow::Result<ExitCode> {
    let api = match args.api {
        Some(api) => api,
        None => best(args).await?,
    };
    let digest = match &args.digest {
        Some(digest) => digest.clone(),
        None => client::text(&args.server, DIGEST_PATH).await.with_context(|| {
            "the digest of the module cannot be asked of the planner; set `filterModule` in its settings, or give \
             `--digest` as `sha256sum` prints it"
        })?,
    };
    let telemetry = Telemetry {
        planner: args.planner.clone(),
        port: args.planner_port,
        digest,
        interval_ms: args.interval.ms(),
    };
    let mut out = std::io::stdout().lock();
    for namespace in &args.namespaces {
        writeln!(out, "---\n{}", yaml_serde::to_string(&telemetry.object(api, namespace))?.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest that the cluster serves; every version of Istio has the last of them.
async fn best(args: &InstallArgs) -> anyhow::Result<TelemetryApi> {
    let settings = ClusterSettings {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        ..ClusterSettings::default()
    };
    let kinds = served(&settings, EXTENSIONS)
        .await
        .context("the cluster cannot be asked what it serves; give `--api` to render without a cluster")?;
    let api = if kinds.contains("trafficextensions") {
        TelemetryApi::TrafficExtension
    } else if kinds.contains("wasmplugins") {
        TelemetryApi::WasmPlugin
    } else {
        TelemetryApi::EnvoyFilter
    };
    tracing::info!(?api, "chosen by what the cluster serves");
    Ok(api)
}
