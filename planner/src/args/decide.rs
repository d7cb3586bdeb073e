//! Arguments of the commands about decisions: `explain`, `plan` and `simulate`.
use super::{Output, QueryArgs};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Arguments of `foremesh explain`.
#[derive(Debug, ClapArgs)]
pub struct ExplainArgs {
    /// A plan's id, or a service, of which the newest decision is explained; the whole last pass when not given.
    pub subject: Option<String>,
    /// Decide again with this very binary from what the plan was made from, and compare byte by byte. Exits with 1 when
    /// another plan comes out.
    #[arg(long)]
    pub replay: bool,
    /// A record that was saved before, in place of a running planner.
    #[arg(long, conflicts_with_all = ["subject", "save"])]
    pub record: Option<PathBuf>,
    /// Where to save what the plan was made from.
    #[arg(long, requires = "subject")]
    pub save: Option<PathBuf>,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh simulate`.
#[derive(Debug, ClapArgs)]
pub struct SimulateArgs {
    /// A move to judge, such as `cart=node-b`, or `cart/cart-7f=node-b` for one replica; may be given more than once.
    #[arg(long = "move", value_name = "WORKLOAD[/REPLICA]=NODE")]
    pub moves: Vec<String>,
    /// A node that fails: what runs there is gone, and the others carry its load.
    #[arg(long = "node-down", value_name = "NODE")]
    pub node_down: Vec<String>,
    /// Load of a service as a factor of its forecast, such as `cart=1.5`.
    #[arg(long, value_name = "SERVICE=FACTOR")]
    pub load: Vec<String>,
    /// The moment to look at, such as `18:00` (UTC, the next one) or RFC 3339; the worst moment when not given.
    #[arg(long)]
    pub at: Option<String>,
    /// A record that was saved with `foremesh explain --save`, in place of a running planner.
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Address of the planner.
    #[arg(long, env = "FOREMESH_SERVER", default_value = "http://127.0.0.1:8700")]
    pub server: String,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}
