//! Arguments of `foremesh install sidecars`.
use super::ClusterArgs;
use crate::{install::TelemetryApi, settings::Span};
use clap::Args;

/// What follows the options.
pub(super) const HELP: &str = "\
Nothing is changed; `kubectl delete -f -` with the same output takes it away again. Requests pass whatever happens to the
filter. Sidecars that could not fetch the module try again when their configuration changes: restart them, or apply the
objects once the planner serves.

Examples:
  foremesh install sidecars --into shop --into payments | kubectl apply -f -
  foremesh install sidecars --into istio-system | kubectl apply -f -           # the root namespace: the whole mesh
  foremesh install sidecars --into shop --api wasm-plugin --digest $(sha256sum < filter.wasm | cut -c 1-64)";

/// Arguments of `foremesh install sidecars`.
#[derive(Debug, Args)]
pub struct InstallSidecarsArgs {
    /// Namespaces whose sidecars get the filter; in the mesh's root namespace all do.
    #[arg(long = "into", value_name = "NAMESPACE", required = true)]
    pub namespaces: Vec<String>,
    /// How Istio is told; the newest that the cluster serves when not given.
    #[arg(long, value_enum)]
    pub api: Option<TelemetryApi>,
    /// Host name of the planner in the mesh.
    #[arg(long, default_value = "foremesh.foremesh.svc.cluster.local")]
    pub planner: String,
    /// Port of the planner.
    #[arg(long, default_value_t = 8700)]
    pub planner_port: u16,
    /// Port of the planner that gives the module in plain text, which the agents beside the proxies need.
    #[arg(long, default_value_t = 8701)]
    pub module_port: u16,
    /// SHA-256 of the module, 64 hexadecimal digits; asked of the planner when not given.
    #[arg(long, value_parser = digest)]
    pub digest: Option<String>,
    /// Length of a window: proxies with traffic send one summary per worker so often.
    #[arg(long, default_value = "2s", value_parser = interval)]
    pub interval: Span,
    /// Address of the planner as it is reached from here, to ask for the digest.
    #[arg(long, env = "FOREMESH_SERVER", default_value = "http://127.0.0.1:8700")]
    pub server: String,
    /// Which cluster is meant.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

fn digest(text: &str) -> Result<String, &'static str> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("write 64 hexadecimal digits, as `sha256sum` prints them")
}

/// What the filter takes.
fn interval(text: &str) -> Result<Span, String> {
    let interval: Span = text.parse().map_err(|error| format!("{error}"))?;
    if (200..=60_000).contains(&interval.ms()) {
        return Ok(interval);
    }
    Err(format!("{interval} is not between 200ms and 60s"))
}
