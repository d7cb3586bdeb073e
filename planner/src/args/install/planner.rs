//! Arguments of `foremesh install planner`.
use clap::Args;
use foremesh_kubernetes::staging::STAGING_NAMESPACE;
use std::path::PathBuf;

/// What follows the options.
pub(super) const HELP: &str = "\
Nothing is changed; no cluster is asked. Without --moves the planner may read only. `foremesh uninstall` takes it away again.

Examples:
  foremesh install planner | kubectl apply -f -                                 # sees, forecasts, recommends
  foremesh install planner --moves --policies policies/ | kubectl apply -f -    # moves, in namespaces that opt in
  foremesh install planner --moves --trials --policies policies/ | kubectl apply -f -    # and tries them first
  foremesh install planner --moves --only-in shop --api-from monitoring --settings foremesh.yaml | kubectl apply -f -";

/// The image of this version.
const IMAGE: &str = concat!("localhost/foremesh:", env!("CARGO_PKG_VERSION"));

/// Arguments of `foremesh install planner`.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct InstallPlannerArgs {
    /// Namespace of the planner; the objects make it.
    #[arg(long, short, default_value = "foremesh")]
    pub namespace: String,
    /// Image of the planner, as `scripts/image` or the Dockerfile makes it.
    #[arg(long, default_value = IMAGE)]
    pub image: String,
    /// Give it the rights to move workloads, and a placement webhook.
    #[arg(long)]
    pub moves: bool,
    /// Give it those rights in this namespace only; repeat it for several.
    #[arg(long, value_name = "NAMESPACE", requires = "moves")]
    pub only_in: Vec<String>,
    /// Have it try moves before they touch production: a staging namespace, and rights in it.
    #[arg(long, requires = "moves")]
    pub trials: bool,
    /// Let it read the secrets of what moves, to copy them into the staging namespace where a policy's trial says so.
    #[arg(long, requires = "trials")]
    pub trials_with_secrets: bool,
    /// Name of the staging namespace; the objects make it.
    #[arg(long, value_name = "NAMESPACE", requires = "trials", default_value = STAGING_NAMESPACE)]
    pub staging_namespace: String,
    /// Leave out the definitions of the custom resources (`foremesh crds`).
    #[arg(long)]
    pub no_crds: bool,
    /// Settings file to start from. What the installation decides (addresses, folders, platform) is added to it.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Policy files, or folders of `*.yaml` files. Without any it gets one that only observes.
    #[arg(long, value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// Storage class of the volume with its history; the cluster's usual one when not given.
    #[arg(long, value_name = "CLASS")]
    pub storage_class: Option<String>,
    /// Size of that volume.
    #[arg(long, value_name = "SIZE", default_value = "10Gi")]
    pub storage_size: String,
    /// No volume: history, audit and the journal of moves are lost whenever the pod goes.
    #[arg(long, conflicts_with_all = ["storage_class", "storage_size"])]
    pub ephemeral: bool,
    /// Namespace whose meshed pods may use the API and read metrics, beside the planner's own; repeat it for several.
    #[arg(long, value_name = "NAMESPACE")]
    pub api_from: Vec<String>,
    /// Namespace of istiod.
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    pub istiod_namespace: String,
    /// Revision of Istio that injects the planner's sidecar, as in label `istio.io/rev`.
    #[arg(long)]
    pub revision: Option<String>,
}
