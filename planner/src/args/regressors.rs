//! Arguments of `foremesh regressors`.
use super::QueryArgs;
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// What `foremesh regressors` can do.
///
/// A regressor is a series that is not ours and explains ours, such as campaign spend. Give its future where it is
/// planned: then a forecast knows it too.
#[derive(Debug, Subcommand)]
pub enum RegressorsCommand {
    /// Lists regressors with their source, age and how far they are known.
    List(QueryArgs),
    /// Sends points, past and planned; the newest push of each time wins.
    ///
    /// The file is CSV with the columns `timestamp,value`, or JSON with `points`, when its name ends with `.json`:
    ///   timestamp,value
    ///   2026-11-27T08:00:00Z,120.5
    ///   2026-11-27T09:00:00Z,180
    #[command(verbatim_doc_comment)]
    Push(RegressorPushArgs),
    /// Forgets a regressor with all its points.
    Delete(RegressorDeleteArgs),
}

/// Arguments of `foremesh regressors push`.
#[derive(Debug, ClapArgs)]
pub struct RegressorPushArgs {
    /// The file.
    pub file: PathBuf,
    /// Name of the regressor; that of the file without its ending when not given.
    #[arg(long)]
    pub name: Option<String>,
    /// Unit of the values, for people.
    #[arg(long)]
    pub unit: Option<String>,
    /// How long a value holds when no newer one follows, such as 1h; one step when never given.
    #[arg(long)]
    pub hold: Option<crate::settings::Span>,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh regressors delete`.
#[derive(Debug, ClapArgs)]
pub struct RegressorDeleteArgs {
    /// Name of the regressor.
    pub name: String,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}
