//! A testbed that is killed leaves no process, mount or network behind, and its control groups and files only until the
//! next start; one whose owner ends leaves nothing at all.
use foremesh_tests::{Cluster, until};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The kernel ends what is killed; a busy machine may take a while to reap it.
const SOON: Duration = Duration::from_secs(20);
const SMALL: [&str; 3] = ["--nodes", "1", "--no-mesh"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_behind() {
    // Beside the shared testbed, if that is up: they do not collide.
    let cluster = Cluster::at("test-killed");
    cluster.down().await;

    let mut starting = cluster.begin_up(&SMALL);
    until("the start to be half done", SOON, async || {
        let traces = Traces::of(&cluster).ok_or("there is no sandbox")?;
        // The keeper, containerd of two nodes, etcd and the API server at least.
        if traces.processes.len() >= 6 {
            Ok(())
        } else {
            Err(format!("{} processes", traces.processes.len()))
        }
    })
    .await;
    let first = Traces::of(&cluster).expect("it is there");
    starting.kill().await.expect("the script can be killed");
    kill(first.keeper);
    first.are_gone().await;
    assert!(
        !groups(&first.group).is_empty(),
        "control groups outlive what is in them, so the next start has what to sweep"
    );

    // The next start sweeps, and is a whole cluster.
    let mut owner =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("sleep runs");
    let up = cluster.up_with(owner.id().expect("it runs"), &SMALL).await;
    up.unwrap_or_else(|error| panic!("{error}"));
    let again = cluster.up(&SMALL).await.expect_err("two in one folder");
    assert!(again.contains("scripts/testbed down"), "{again}");
    let pod = ["run", "idle", "--image=localhost/workload:1", "--image-pull-policy=Never", "--", "idle"];
    cluster.kubectl(&pod).await.unwrap_or_else(|error| panic!("{error}"));
    let running = cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=40s", "pod/idle"]).await;
    running.unwrap_or_else(|error| panic!("{error}"));
    let second = Traces::of(&cluster).expect("it is there");
    assert!(second.processes.is_disjoint(&first.processes), "processes of the first are still there");
    assert!(
        second.names.iter().any(|name| name == "workload"),
        "the pod's process is seen: {:?}",
        second.names
    );

    // Whoever owns it ends, and so does all of it.
    owner.kill().await.expect("sleep can be killed");
    second.are_gone().await;
    until("control groups and state to be swept", SOON, async || {
        let (groups, files) = (groups(&second.group), left_in(cluster.state()));
        if groups.is_empty() && files.is_empty() {
            Ok(())
        } else {
            Err(format!("there are {groups:?}, {files:?}"))
        }
    })
    .await;
    println!(
        "ended: {} processes of a killed start, {} of a whole cluster",
        first.processes.len(),
        second.processes.len()
    );
}

/// What belongs to a testbed, as the kernel has it.
struct Traces {
    keeper: u32,
    group: String,
    /// Process ids and start times.
    processes: BTreeSet<(u32, String)>,
    names: Vec<String>,
    /// Its network namespace.
    network: PathBuf,
    state: PathBuf,
}

impl Traces {
    /// Of a testbed that has a sandbox.
    fn of(cluster: &Cluster) -> Option<Self> {
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
    async fn are_gone(&self) {
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
fn groups(group: &str) -> Vec<PathBuf> {
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
fn left_in(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(state).into_iter().flatten().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !["logs", "lock"].contains(&name.as_str())).collect()
}

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("kill can be run");
    assert!(killed.success(), "the keeper, {pid}, was there");
}
