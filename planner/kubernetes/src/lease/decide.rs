//! What to write, given what was read and when; nothing here reads a clock or a cluster.
use super::LeaseSettings;
use std::time::Duration;

/// What a stored lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; nobody after an orderly end.
    pub(super) holder: Option<String>,
    /// How long it lasts after a renewal, as its holder says.
    pub(super) duration: Option<Duration>,
    /// How often its holder has changed.
    pub(super) transitions: u32,
    /// Changes with every write; never compared but for equality.
    pub(super) version: String,
}

/// A stored lease, or that there is none, with the time on the own clock at which it was first seen just so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) record: Option<Record>,
    pub(super) since: Duration,
}

impl Seen {
    /// What was read now, after what was read before.
    pub(super) fn again(before: Option<Self>, record: Option<Record>, now: Duration) -> Self {
        match before {
            Some(before) if before.record == record => before,
            _ => Self { record, since: now },
        }
    }
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Becomes the holder, as the one with this number.
    Take { transitions: u32 },
    /// Goes on being the holder.
    Renew,
    /// Another one holds it, at least until then.
    Follow { holder: String, until: Duration },
    /// There is none, and it is waited until then: somebody may have deleted one that is still held.
    Wait { until: Duration },
}

/// What `me` writes next.
pub(super) fn next(me: &str, seen: &Seen, settings: &LeaseSettings, now: Duration) -> Next {
    let Some(record) = &seen.record else {
        let until = seen.since.saturating_add(settings.duration);
        return if now >= until { Next::Take { transitions: 0 } } else { Next::Wait { until } };
    };
    let transitions = record.transitions.saturating_add(1);
    match &record.holder {
        None => Next::Take { transitions },
        Some(holder) if holder == me => Next::Renew,
        Some(holder) => {
            // Of one that does not say it as of one of ours.
            let until = seen.since.saturating_add(record.duration.unwrap_or(settings.duration));
            if now >= until {
                Next::Take { transitions }
            } else {
                Next::Follow { holder: holder.clone(), until }
            }
        }
    }
}

/// Until when the lease is held that was asked for at this time, and given: others may have seen it that early.
pub(super) fn held_until(asked: Duration, settings: &LeaseSettings) -> Duration {
    asked.saturating_add(settings.duration.saturating_sub(settings.give_up_before))
}
