//! Arguments of `foremesh install` and `foremesh uninstall`.
mod planner;
mod sidecars;
mod staging;
mod uninstall;

pub use planner::InstallPlannerArgs;
pub use sidecars::InstallSidecarsArgs;
pub use staging::InstallStagingArgs;
pub(super) use uninstall::HELP as UNINSTALL_HELP;
pub use uninstall::UninstallArgs;

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What `foremesh install` prints.
#[derive(Debug, Subcommand)]
pub enum InstallCommand {
    /// Prints the planner itself: namespace, accounts, rights, settings, Deployment, services, mesh policies.
    #[command(after_help = planner::HELP)]
    Planner(Box<InstallPlannerArgs>),
    /// Prints the objects that put the filter into the sidecars of namespaces.
    #[command(after_help = sidecars::HELP)]
    Sidecars(InstallSidecarsArgs),
    /// Prints the staging namespace of trials alone, which `install planner --trials` prints too.
    #[command(after_help = staging::HELP)]
    Staging(InstallStagingArgs),
    /// Prints what the planner may do in a cluster, and why, as Markdown.
    Rights,
}

/// Which cluster is meant.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// File that says where the API server is.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file.
    #[arg(long)]
    pub context: Option<String>,
}
