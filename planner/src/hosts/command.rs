//! Commands: an argv without a shell, with a deadline, with bounded output.
use super::config::{Deadlines, Host, HostedWorkload, Hosts, Kind};
use crate::platform::PlatformError;
use foremesh_core::ids::{NodeId, WorkloadId};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::{Mutex, Semaphore},
    time::timeout,
};

/// What is kept of each output of a command; the rest is read and dropped, so that the command does not block.
const KEPT_OUTPUT: usize = 64 * 1024;
/// The same of what a command writes that lists all that runs on a host.
const KEPT_LIST: usize = 1024 * 1024;
/// Variables of the planner's own environment that every command gets: what it takes to find programs, their own files and
/// their language, and nothing that is a secret.
const PASSED: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"];
/// Most of standard error that goes into an error text.
const SHOWN_STDERR: usize = 400;
/// Most of standard output that does.
const SHOWN_STDOUT: usize = 200;
/// How long output is waited for after the command itself has ended: a process that it left behind may hold the pipe open
/// for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// What a command is run for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) host_name: &'a NodeId,
    pub(super) host: &'a Host,
    /// Missing where it is about the host alone.
    pub(super) workload: Option<(&'a WorkloadId, &'a HostedWorkload)>,
    /// Set when it is about a copy of the workload, made to try a move.
    pub(super) copy: Option<Copied>,
}

/// A copy of a workload on one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copied {
    pub(super) port: u16,
    /// Seconds that it may live at most.
    pub(super) lives_s: u64,
}

impl Subject<'_> {
    fn value(&self, placeholder: &str) -> Option<String> {
        match (placeholder, self.workload) {
            ("host", _) => Some(self.host_name.to_string()),
            ("address", _) => Some(self.host.address.to_string()),
            ("workload", Some((name, _))) => Some(name.to_string()),
            ("service", Some((_, workload))) => Some(workload.service.to_string()),
            ("instance", Some((name, workload))) => Some(workload.instance(name, self.copy.is_some())),
            ("port", Some((_, workload))) => {
                let own = || workload.ports.get(self.host_name).copied();
                self.copy.map(|copy| copy.port).or_else(own).map(|port| port.to_string())
            }
            ("lives", Some(_)) => self.copy.map(|copy| copy.lives_s.to_string()),
            _ => None,
        }
    }

    fn fill(&self, word: &str) -> String {
        let mut filled = word.to_owned();
        for name in placeholders(word) {
            if let Some(value) = self.value(name) {
                filled = filled.replace(&format!("{{{name}}}"), &value);
            }
        }
        filled
    }

    /// What the command gets of the hosts file. What is about a workload is left out where the command is about none.
    fn environment(&self) -> impl Iterator<Item = (&str, String)> {
        let known = |value: &str| placeholders(value).all(|name| self.value(name).is_some());
        let known = self.host.environment.iter().filter(move |(_, value)| known(value));
        known.map(|(name, value)| (name.as_str(), self.fill(value)))
    }

    fn object(&self, kind: Kind) -> String {
        match self.workload {
            Some((name, _)) => {
                let copy = if self.copy.is_some() { "a copy of " } else { "" };
                format!("`{}` of {copy}workload `{name}` on host `{}`", kind.name(), self.host_name)
            }
            None => format!("`{}` of host `{}`", kind.name(), self.host_name),
        }
    }
}

/// The lower-case words in braces of an argument; braces around anything else are left as they are.
pub(super) fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    word.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        (!name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase())).then_some(name)
    })
}

/// A command that has ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) object: String,
    pub(super) command: String,
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Ended {
    /// The failure that this end is, for commands that must succeed.
    pub(super) fn into_error(self) -> PlatformError {
        let status = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".to_owned(),
        };
        let text = String::from_utf8_lossy(&self.stderr);
        let text = text.trim();
        let skipped = text.chars().count().saturating_sub(SHOWN_STDERR);
        let tail: String = text.chars().skip(skipped).collect();
        let stderr = if tail.is_empty() { "nothing on standard error".to_owned() } else { tail };
        PlatformError::Command { object: self.object, command: self.command, status, stderr }
    }

    /// The failure that its output is, where something else was expected of it.
    pub(super) fn into_senseless(self, expected: &'static str) -> PlatformError {
        PlatformError::Output {
            object: self.object,
            command: self.command,
            output: String::from_utf8_lossy(&self.stdout).trim().chars().take(SHOWN_STDOUT).collect(),
            expected,
        }
    }
}

/// Runs the commands of all hosts, so many at a time.
#[derive(Debug)]
pub(super) struct Commands {
    slots: Semaphore,
    deadlines: Deadlines,
    /// What all of them get of the planner's own environment.
    passed: BTreeMap<OsString, OsString>,
}

impl Commands {
    pub(super) fn new(hosts: &Hosts) -> Self {
        let is_passed = |name: &OsString| {
            PASSED.iter().any(|passed| *name == *passed)
                || hosts.pass_environment.iter().any(|also| *name == **also)
        };
        Self {
            slots: Semaphore::new(hosts.max_commands),
            deadlines: hosts.deadlines.clone(),
            passed: std::env::vars_os().filter(|(name, _)| is_passed(name)).collect(),
        }
    }

    /// Runs a command to its end, whatever that is. At the deadline, or when the caller gives up, the command is killed
    /// with every process of its group.
    pub(super) async fn run(
        &self,
        kind: Kind,
        subject: Subject<'_>,
        argv: &[String],
    ) -> Result<Ended, PlatformError> {
        let words: Vec<String> = argv.iter().map(|word| subject.fill(word)).collect();
        let (object, command) = (subject.object(kind), words.join(" "));
        let not_started =
            |source| PlatformError::NotStarted { object: object.clone(), command: command.clone(), source };
        let (program, arguments) =
            words.split_first().ok_or_else(|| not_started(std::io::Error::other("no program is given")))?;
        let _slot = self.slots.acquire().await.map_err(|error| not_started(std::io::Error::other(error)))?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.passed)
            .envs(subject.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let mut group = Group(child.id());
        let deadline = subject.host.deadlines.of(kind, &self.deadlines).duration();
        let kept = if kind == Kind::Inventory { KEPT_LIST } else { KEPT_OUTPUT };
        let Ok(ended) = timeout(deadline, finish(&mut child, kept)).await else {
            let setting = format!("`deadlines.{}` in the hosts file", kind.name());
            return Err(PlatformError::Deadline { object, command, deadline, setting });
        };
        group.0 = None;
        let (status, stdout, stderr) = ended.map_err(not_started)?;
        Ok(Ended { object, command, status, stdout, stderr })
    }
}

/// Kills a process group unless it was disarmed.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // The group may be gone already, which is what is wanted.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

async fn finish(child: &mut Child, kept: usize) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (kept_out, kept_err) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let reading = async {
        tokio::join!(keep(out, Part::First, kept, &kept_out), keep(err, Part::Last, KEPT_OUTPUT, &kept_err))
    };
    tokio::pin!(reading);
    let status = tokio::select! {
        status = child.wait() => {
            let status = status?;
            // Not an error when it runs out: the command has ended, only its pipe is held by someone else.
            let _ = timeout(OUTPUT_GRACE, &mut reading).await;
            status
        }
        _ = &mut reading => child.wait().await?,
    };
    let (stdout, stderr) = (kept_out.lock().await.clone(), kept_err.lock().await.clone());
    Ok((status, stdout, stderr))
}

/// Which part of a long output is kept.
#[derive(Clone, Copy)]
enum Part {
    /// What a reader of standard output looks at.
    First,
    /// Where an error says what went wrong.
    Last,
}

/// Reads to the end and keeps so many bytes, or up to twice that while it reads.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, part: Part, limit: usize, kept: &Mutex<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = [0; 4096];
    while let Ok(read) = pipe.read(&mut chunk).await {
        let Some(chunk) = chunk.get(..read).filter(|chunk| !chunk.is_empty()) else { return };
        let mut kept = kept.lock().await;
        let room = match part {
            Part::First => limit.saturating_sub(kept.len()).min(read),
            Part::Last => read,
        };
        kept.extend(chunk.iter().take(room));
        if kept.len() > 2 * limit {
            let surplus = kept.len() - limit;
            kept.drain(..surplus);
        }
    }
}
