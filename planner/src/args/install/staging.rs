//! Arguments of `foremesh install staging`.
use clap::Args;
use foremesh_kubernetes::staging::STAGING_NAMESPACE;

/// What follows the options.
pub(super) const HELP: &str = "\
For a planner that was not installed by `foremesh install planner --trials`, or a staging mesh in another cluster
(`platform.kubernetes.staging` in the settings). The planner makes and deletes no namespace, and works in none that lacks
the label of this one. Nothing is changed.

Examples:
  foremesh install staging | kubectl apply -f -
  foremesh install staging --namespace shop-staging --revision canary | kubectl --context staging apply -f -";

/// Arguments of `foremesh install staging`.
#[derive(Debug, Args)]
pub struct InstallStagingArgs {
    /// Name of the namespace, as `platform.kubernetes.staging.namespace` has it.
    #[arg(long, short, default_value = STAGING_NAMESPACE)]
    pub namespace: String,
    /// Revision of Istio that injects the sidecars of what is tried, as in label `istio.io/rev`; that of production.
    #[arg(long)]
    pub revision: Option<String>,
}
