//! Arguments of `foremesh uninstall`.
use super::ClusterArgs;
use crate::settings::Span;
use clap::Args;

/// What follows the options.
pub(in crate::args) const HELP: &str = "\
It refuses while something moves, unless --abort has the planner take that back first. Then the planner is stopped, and
everything is deleted that carries the label app.kubernetes.io/managed-by=foremesh: the filter's objects in all namespaces,
the planner, its history, its rights, the staging namespace, its Relocations. Policies and calendars that are resources of the
cluster stay with their definitions, unless --crds is given. Labels of your namespaces stay. It can be repeated.

Exit codes: 0 it is gone, 1 something is left and why, 3 with --dry-run when there is something to delete.

Examples:
  foremesh uninstall --dry-run      # what would go
  foremesh uninstall --crds         # your policies and calendars in the cluster too
  foremesh uninstall --abort        # take running moves back first; needs kubectl port-forward to the planner";

/// Arguments of `foremesh uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Namespace of the planner.
    #[arg(long, short, default_value = "foremesh")]
    pub namespace: String,
    /// Have the planner take back what it moves, and wait for that.
    #[arg(long)]
    pub abort: bool,
    /// Delete the definitions of the custom resources also where some of their objects are left, and these with them.
    #[arg(long)]
    pub crds: bool,
    /// Only list what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
    /// How long moves may take to be taken back, and then the planner to stop, and then its objects to be gone.
    #[arg(long, default_value = "2m")]
    pub within: Span,
    /// Address of the planner as it is reached from here, for --abort.
    #[arg(long, env = "FOREMESH_SERVER", default_value = "http://127.0.0.1:8700")]
    pub server: String,
    /// Which cluster is meant.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
