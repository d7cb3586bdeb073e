//! `foremesh install`: the objects of the planner, and those that put the filter into sidecars, for `kubectl apply`.
mod planner;
pub mod rights;
mod sidecars;
mod telemetry;
mod uninstall;

pub use planner::NAME;
pub use telemetry::{Telemetry, TelemetryApi};
pub use uninstall::uninstall;

use crate::args::InstallCommand;
use serde_json::Value;
use std::{io::Write as _, process::ExitCode};

/// Prints the objects as YAML; changes nothing.
///
/// # Errors
/// When a file cannot be accepted, the digest of the module is not to be had, or the cluster cannot be asked what it serves.
pub async fn install(command: &InstallCommand) -> anyhow::Result<ExitCode> {
    match command {
        InstallCommand::Planner(args) => print(&planner::objects(args)?)?,
        InstallCommand::Sidecars(args) => sidecars::sidecars(args).await?,
        InstallCommand::Staging(args) => {
            print(&planner::staging(&args.namespace, args.revision.as_deref()))?;
        }
        InstallCommand::Rights => print!("{}", rights::markdown()),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(objects: &[Value]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for object in objects {
        writeln!(out, "---\n{}", yaml_serde::to_string(object)?.trim_end())?;
    }
    Ok(())
}
