//! How a replica is: what `status` and `inventory` say of it.
use super::command::Ended;
use serde::Deserialize;
use std::fmt;

/// Exit codes that say nothing about what was asked for: not executable, not found, and what ssh ends with when it could
/// not connect.
pub(super) const COULD_NOT_ASK: [i32; 3] = [126, 127, 255];

/// Whether a replica is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Running,
    Stopped,
    Failed,
}

/// What is known of a replica beside its ready check.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Status {
    pub(super) state: State,
    /// Since when, in the words of whoever says it.
    pub(super) since: Option<String>,
    pub(super) detail: Option<String>,
}

impl Status {
    pub(super) fn of(state: State, detail: impl Into<String>) -> Self {
        let detail = Some(detail.into()).filter(|text| !text.is_empty());
        Self { state, since: None, detail }
    }

    /// From what a command wrote and how it ended; none when it could not ask.
    ///
    /// Three ways of telling are known: a line of JSON, the lines of `systemctl show`, the word of `systemctl is-active`.
    /// Else the exit code counts as that of `systemctl status`.
    pub(super) fn read(ended: &Ended) -> Option<Self> {
        let code = ended.status.code().filter(|code| !COULD_NOT_ASK.contains(code))?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let text = text.trim();
        if text.starts_with('{') {
            return serde_json::from_str(text).ok();
        }
        if text.lines().any(|line| line.starts_with("ActiveState=")) {
            return shown(text);
        }
        if let Some(state) = active_state(text) {
            return Some(Self::of(state, if state == State::Running { "" } else { text }));
        }
        let first: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
        Some(match code {
            0 => Self::of(State::Running, ""),
            3 => Self::of(State::Stopped, first),
            4 => Self::of(State::Stopped, "there is no such unit"),
            _ => Self::of(State::Failed, format!("exit code {code} {first}").trim().to_owned()),
        })
    }
}

/// One of the words that systemd has for a unit.
fn active_state(word: &str) -> Option<State> {
    match word {
        "active" | "reloading" | "activating" | "deactivating" => Some(State::Running),
        "inactive" => Some(State::Stopped),
        "failed" => Some(State::Failed),
        _ => None,
    }
}

/// From the properties of a unit: `systemctl show --property=ActiveState,SubState,Result,StateChangeTimestamp UNIT`.
fn shown(text: &str) -> Option<Status> {
    let property = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let state = active_state(&property("ActiveState")?)?;
    let result = property("Result").filter(|result| result != "success");
    let missing = property("LoadState").filter(|loaded| loaded == "not-found");
    let detail =
        missing.map(|_| "there is no such unit".to_owned()).or(result).or_else(|| property("SubState"));
    Some(Status { state, since: property("StateChangeTimestamp"), detail })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Running => "it runs",
            State::Stopped => "it is stopped",
            State::Failed => "it failed",
        })?;
        if let Some(since) = &self.since {
            write!(f, " since {since}")?;
        }
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

    fn read(code: i32, stdout: &str) -> Option<String> {
        let ended = Ended {
            object: String::new(),
            command: String::new(),
            status: ExitStatus::from_raw(code << 8),
            stdout: stdout.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        Status::read(&ended).map(|status| status.to_string())
    }

    #[test]
    fn every_way_of_telling_is_understood() {
        let show = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n\
                    StateChangeTimestamp=Mon 2026-11-30 05:58:08 UTC\n";
        let cases = [
            (0, r#"{"state": "running", "since": "12:00"}"#, Some("it runs since 12:00")),
            (0, r#"{"state": "failed", "detail": "out of memory"}"#, Some("it failed (out of memory)")),
            (0, show, Some("it failed since Mon 2026-11-30 05:58:08 UTC (exit-code)")),
            (0, "LoadState=not-found\nActiveState=inactive\n", Some("it is stopped (there is no such unit)")),
            (0, "active\n", Some("it runs")),
            (3, "inactive\n", Some("it is stopped (inactive)")),
            (3, "failed\n", Some("it failed (failed)")),
            (0, "", Some("it runs")),
            (3, "", Some("it is stopped")),
            (4, "", Some("it is stopped (there is no such unit)")),
            (1, "pid file without process", Some("it failed (exit code 1 pid file without process)")),
            (255, "", None),
            (127, "active", None),
            (0, r#"{"state": "asleep"}"#, None),
        ];
        for (code, stdout, want) in cases {
            assert_eq!(read(code, stdout).as_deref(), want, "{code} {stdout}");
        }
    }
}
