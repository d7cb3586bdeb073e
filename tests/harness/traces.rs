//! What a testbed leaves, or not, when it ends: its processes, networks, mounts, control groups and files.
use crate::{Testbed, until};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The kernel ends what is killed; a busy machine may take a while to reap it.
const SOON: Duration = Duration::from_secs(20);

/// What belongs to a testbed, as the kernel has it.
#[derive(Debug)]
pub struct Traces {
    /// The process that sweeps when the rest has ended.
    pub keeper: u32,
    /// Name of its control groups.
    pub group: String,
    /// Process ids and start times.
    pub processes: BTreeSet<(u32, String)>,
    /// Their names.
    pub names: Vec<String>,
    /// Its network namespace.
    network: PathBuf,
    state: PathBuf,
}

impl Traces {
    /// Of a testbed that has a sandbox.
    pub fn of(cluster: &Testbed) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(cluster.state().join(name)).ok();
        let id = |text: String| text.split(' ').next()?.parse().ok();
        let (keeper, sandbox): (u32, u32) = (id(read("keeper")?)?, id(read("sandbox")?)?);
        let group = cluster.group();
        let mut processes = BTreeSet::new();
        let mut names = Vec::new();
        for folder in groups(&group) {
            let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            for pid in listed.lines().filter_map(|line| line.parse().ok()) {
                if let Some((name, start)) = process(pid) {
                    processes.insert((pid, start));
                    names.push(name);
                }
            }
        }
        let network = fs::read_link(format!("/proc/{sandbox}/ns/net")).ok()?;
        Some(Self { keeper, group, processes, names, network, state: cluster.state().to_owned() })
    }

    /// Waits until no process and no namespace of it is left, and no mount of it is seen.
    ///
    /// # Panics
    /// When something of it is there still.
    pub async fn are_gone(&self) {
        until("the processes to be gone", SOON, async || {
            let alive = |(pid, start): &&(u32, String)| process(*pid).is_some_and(|(_, now)| now == *start);
            let left: Vec<_> = self.processes.iter().filter(alive).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are there")) }
        })
        .await;
        let all = fs::read_dir("/proc").expect("there is a /proc").filter_map(Result::ok);
        let inside = all.filter(|entry| {
            fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == self.network)
        });
        assert_eq!(
            inside.map(|entry| entry.path()).collect::<Vec<_>>(),
            Vec::<PathBuf>::new(),
            "processes in its network"
        );
        let mounts = fs::read_to_string("/proc/self/mounts").expect("there are mounts");
        let state = self.state.to_string_lossy();
        assert!(!mounts.contains(&*state), "mounts of it are left: {mounts}");
    }
}

/// Name and start of a process, in ticks since boot; a dead one that is not reaped has ended.
fn process(pid: u32) -> Option<(String, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (front, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    (*fields.first()? != "Z")
        .then(|| (front.split_once('(').map_or("", |(_, name)| name).to_owned(), fields[19].to_owned()))
}

/// The control groups of a testbed, of every controller and depth.
pub fn groups(group: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let controllers =
        fs::read_dir("/sys/fs/cgroup").expect("there are control groups").filter_map(Result::ok);
    let mut open: Vec<PathBuf> =
        controllers.map(|entry| entry.path().join(group)).filter(|path| path.is_dir()).collect();
    while let Some(folder) = open.pop() {
        let inner = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
        open.extend(inner.map(|entry| entry.path()).filter(|path| path.is_dir()));
        found.push(folder);
    }
    found
}

/// What is in a testbed's folder besides logs and the lock of its script.
pub fn left_in(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(state).into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !["logs", "lock"].contains(&name.as_str())).collect()
}

/// Ends a process at once.
///
/// # Panics
/// When it is not there.
pub fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("kill can be run");
    assert!(killed.success(), "process {pid}, was there");
}
