//! Commands of hosts, what they may take, and what they are given.
use crate::settings::Span;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The kinds of command that a host can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Prepare,
    Start,
    Ready,
    Stop,
    Status,
    Usage,
    Inventory,
}

impl Kind {
    /// As the hosts file writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Start => "start",
            Self::Ready => "ready",
            Self::Stop => "stop",
            Self::Status => "status",
            Self::Usage => "usage",
            Self::Inventory => "inventory",
        }
    }

    /// Where the hosts file has it.
    pub(super) const fn field(self) -> &'static str {
        match self {
            Self::Prepare => "commands.prepare",
            Self::Start => "commands.start",
            Self::Ready => "commands.ready",
            Self::Stop => "commands.stop",
            Self::Status => "commands.status",
            Self::Usage => "commands.usage",
            Self::Inventory => "commands.inventory",
        }
    }

    /// Whether it is about a whole host, and not about one workload on it.
    pub(crate) const fn is_of_host(self) -> bool {
        matches!(self, Self::Usage | Self::Inventory)
    }

    /// How long it may take where nothing else is said: questions seconds, because the whole inventory waits for the
    /// slowest; changes a minute or two.
    const fn usual_deadline(self) -> Span {
        match self {
            Self::Prepare => Span::from_secs(120),
            Self::Start | Self::Stop => Span::from_secs(60),
            Self::Ready | Self::Status | Self::Usage | Self::Inventory => Span::from_secs(5),
        }
    }
}

/// The longest that commands may take, by their kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Deadlines(pub(super) BTreeMap<Kind, Span>);

impl Deadlines {
    /// What is said here, or else in `general`, or else the usual.
    pub(crate) fn of(&self, kind: Kind, general: &Self) -> Span {
        let said = self.0.get(&kind).or_else(|| general.0.get(&kind));
        said.copied().unwrap_or_else(|| kind.usual_deadline())
    }
}

/// Commands of a host, each an argv.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HostCommands {
    pub(crate) prepare: Option<Vec<String>>,
    pub(crate) start: Vec<String>,
    pub(crate) ready: Vec<String>,
    pub(crate) stop: Vec<String>,
    pub(crate) status: Option<Vec<String>>,
    pub(crate) usage: Option<Vec<String>>,
    pub(crate) inventory: Option<Vec<String>>,
    /// For copies of workloads in trials; the usual ones where they are left out.
    #[serde(default)]
    pub(crate) trial: TrialCommands,
}

/// What takes the place of the usual commands for a copy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct TrialCommands {
    pub(crate) start: Option<Vec<String>>,
    pub(crate) ready: Option<Vec<String>>,
    pub(crate) stop: Option<Vec<String>>,
}

impl HostCommands {
    /// Whether some command asks the host as a whole.
    pub(crate) fn asks_host(&self) -> bool {
        self.usage.is_some() || self.inventory.is_some()
    }

    /// The argv of a kind, for a copy or for the workload itself; none where the host has no such command.
    pub(crate) fn argv(&self, kind: Kind, is_copy: bool) -> Option<&[String]> {
        let usual = match kind {
            Kind::Prepare => self.prepare.as_ref(),
            Kind::Start => Some(&self.start),
            Kind::Ready => Some(&self.ready),
            Kind::Stop => Some(&self.stop),
            Kind::Status => self.status.as_ref(),
            Kind::Usage => self.usage.as_ref(),
            Kind::Inventory => self.inventory.as_ref(),
        };
        let of_copy = match kind {
            Kind::Start => self.trial.start.as_ref(),
            Kind::Ready => self.trial.ready.as_ref(),
            Kind::Stop => self.trial.stop.as_ref(),
            _ => None,
        };
        of_copy.filter(|_| is_copy).or(usual).map(Vec::as_slice)
    }
}
