//! `foremesh install sidecars`: the objects that put the filter into sidecars.
use super::{Telemetry, TelemetryApi, print};
use crate::{args::InstallSidecarsArgs, client, filter_module::DIGEST_PATH};
use anyhow::Context as _;
use foremesh_kubernetes::{ClusterSettings, served};

/// Group and version of Istio's own extensions.
const EXTENSIONS: &str = "extensions.istio.io/v1alpha1";

/// Prints the objects as YAML; changes nothing.
pub(super) async fn sidecars(args: &InstallSidecarsArgs) -> anyhow::Result<()> {
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
        module_port: args.module_port,
        digest,
        interval_ms: args.interval.ms(),
    };
    let objects: Vec<_> = args.namespaces.iter().map(|namespace| telemetry.object(api, namespace)).collect();
    print(&objects)
}

/// The newest that the cluster serves; every version of Istio has the last of them.
async fn best(args: &InstallSidecarsArgs) -> anyhow::Result<TelemetryApi> {
    let settings = ClusterSettings {
        kubeconfig: args.cluster.kubeconfig.clone(),
        context: args.cluster.context.clone(),
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
