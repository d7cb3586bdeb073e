//! Arguments of `foremesh calendar`.
use super::{Output, QueryArgs};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// What `foremesh calendar` can do.
///
/// Events come from the files and iCal feeds that `calendars` in the settings names, and from `calendar add`. Their
/// effects on each service are learned by tag, taken out of the history before a season is learned, and put back where
/// the event takes place again.
#[derive(Debug, Subcommand)]
pub enum CalendarCommand {
    /// Lists what takes place, with ids, and how the sources are doing.
    List(CalendarListArgs),
    /// Makes an event: once, by cron, or by an RRULE.
    ///
    /// Examples:
    ///   foremesh calendar add sale --start 2026-11-27T08:00 --end 2026-11-30T00:00 --zone Europe/Berlin --tag campaign
    ///   foremesh calendar add backup --cron '30 2 * * *' --duration 1h --service 'db*' --effect x1.8
    #[command(verbatim_doc_comment)]
    Add(Box<CalendarAddArgs>),
    /// Cancels one occurrence of any event, also of one from a file or a feed.
    Cancel(CalendarCancelArgs),
    /// Removes an event that was made by `calendar add`, its past occurrences too.
    Remove(CalendarRemoveArgs),
    /// Checks a calendar file, a directory of them or an iCal file, and shows what takes place; needs no planner.
    Check(CalendarCheckArgs),
}

/// Arguments of `foremesh calendar list`.
#[derive(Debug, ClapArgs)]
pub struct CalendarListArgs {
    /// Begin of the time that is listed, such as 2026-11-24T09:00:00Z; now when not given.
    #[arg(long)]
    pub from: Option<String>,
    /// Its end; seven days later when not given.
    #[arg(long)]
    pub to: Option<String>,
    /// Only what has an effect on this service.
    #[arg(long)]
    pub service: Option<String>,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh calendar add`.
#[derive(Debug, ClapArgs)]
pub struct CalendarAddArgs {
    /// Name of the event; not needed with --file.
    #[arg(required_unless_present = "file")]
    pub name: Option<String>,
    /// The event as in a calendar file (YAML or JSON), in place of all the options.
    #[arg(long, short, conflicts_with_all = ["name", "start", "cron", "rrule"])]
    pub file: Option<PathBuf>,
    /// Id of the event; its name when not given.
    #[arg(long)]
    pub id: Option<String>,
    /// First moment of an event that takes place once, such as 2026-11-27T08:00.
    #[arg(long, conflicts_with_all = ["cron", "rrule"])]
    pub start: Option<String>,
    /// The first moment after it.
    #[arg(long, requires = "start")]
    pub end: Option<String>,
    /// Cron pattern of five fields, such as '30 2 * * *'.
    #[arg(long, conflicts_with = "rrule")]
    pub cron: Option<String>,
    /// Recurrence by RFC 5545: DTSTART and RRULE lines.
    #[arg(long)]
    pub rrule: Option<String>,
    /// Length of each occurrence, such as 1h.
    #[arg(long)]
    pub duration: Option<String>,
    /// IANA time zone of the times; UTC when not given.
    #[arg(long)]
    pub zone: Option<String>,
    /// Tag that effects are learned by; may be given again. The name when not given.
    #[arg(long = "tag")]
    pub tags: Vec<String>,
    /// Service that it has an effect on, such as 'db*'; may be given again. Everything when not given.
    #[arg(long = "service")]
    pub services: Vec<String>,
    /// Node that it has an effect on; may be given again.
    #[arg(long = "node")]
    pub nodes: Vec<String>,
    /// Quantity that it has an effect on, such as 'latency_*'; may be given again. All when not given.
    #[arg(long = "metric")]
    pub metrics: Vec<String>,
    /// Effect as far as it is known, such as x1.8 or '+200 rps'; learned anyway.
    #[arg(long, allow_hyphen_values = true)]
    pub effect: Option<String>,
    /// Put it in the place of the event with its id.
    #[arg(long)]
    pub replace: bool,
    /// Who, for the audit trail.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh calendar cancel`.
#[derive(Debug, ClapArgs)]
pub struct CalendarCancelArgs {
    /// The event's id, as `foremesh calendar list` shows it.
    pub id: String,
    /// Start of the occurrence, as `foremesh calendar list` shows it.
    #[arg(long)]
    pub start: String,
    /// Take the cancellation back.
    #[arg(long)]
    pub undo: bool,
    /// Who, for the audit trail.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh calendar remove`.
#[derive(Debug, ClapArgs)]
pub struct CalendarRemoveArgs {
    /// The event's id, as `foremesh calendar list` shows it.
    pub id: String,
    /// Who, for the audit trail.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh calendar check`.
#[derive(Debug, ClapArgs)]
pub struct CalendarCheckArgs {
    /// A file of `EventCalendar` documents, a directory of them, or an iCal file (`.ics`).
    pub file: PathBuf,
    /// Begin of the time that is shown; now when not given.
    #[arg(long)]
    pub from: Option<String>,
    /// Days that are shown.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=400))]
    pub days: u16,
    /// Read the feeds that the file names, too.
    #[arg(long)]
    pub fetch: bool,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}
