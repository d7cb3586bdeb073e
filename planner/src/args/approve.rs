//! Arguments of `foremesh approve`.
use super::QueryArgs;
use clap::Args as ClapArgs;

/// Arguments of `foremesh approve`.
#[derive(Debug, ClapArgs)]
#[command(after_help = HELP)]
pub struct ApproveArgs {
    /// The plan's id; the plans that wait are listed when it is not given.
    pub plan: Option<String>,
    /// Who approves it, for the audit trail.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
    /// Why, for the audit trail.
    #[arg(long, requires = "plan", default_value = "")]
    pub reason: String,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// What approving does, what the exit codes mean, and examples.
const HELP: &str = "\
A policy in mode `approve` makes plans and waits for a human. A plan waits as long as every pass decides the same moves, and
can be approved for `approveWithin` (1h) after it was made. Approving it begins exactly that plan, but not before it was
judged on the newest inputs: the breach must still be predicted, the target must still have room, and freeze windows,
cooldown, budget and limits of moves at once must let it through now. Else nothing is moved, and the answer says what has
changed. A policy must waive the trial, as for mode `auto`. Who approved, and why, is on record before anything is done.

Exit codes: 0 it was begun (or the list was printed), 1 an error, 2 wrong usage, 3 it was not begun: it does not hold any
more, was approved before, or waits for nobody.

Examples:
  foremesh approve                          # what waits, why, and until when
  foremesh explain plan-0123456789ab        # everything behind one of them
  foremesh approve plan-0123456789ab --reason 'the sale starts at six'
  foremesh approve -o json";
