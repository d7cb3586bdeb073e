//! A control group of the test's own, and what the kernel counts of it.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::Duration,
};

/// Controllers of version 1, which may each have a tree of their own.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuacct", "memory", "blkio"];
/// The one tree of version 2.
const UNIFIED: &str = "/sys/fs/cgroup";
const PERIOD_US: u64 = 100_000;
/// More than any disk gives: the kernel counts what a group writes only where it also limits it.
const NO_LIMIT: u64 = 1 << 40;

/// A group with one for a pod and a container inside, as a kubelet makes them. Dropping it ends what runs in it and
/// removes it.
pub(crate) struct Cgroup {
    name: String,
    inner: String,
    unified: bool,
}

/// What the kernel says of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Total, in seconds of one core.
    pub(crate) cpu_seconds: f64,
    /// Total of what was read and written.
    pub(crate) disk_bytes: f64,
    /// Level: what is in use, but for pages of files that are not looked at any more.
    pub(crate) memory_bytes: f64,
}

impl Cgroup {
    /// A group that may use this share of a core.
    pub(crate) fn make(name: &str, inner: &str, millicores: u64) -> Self {
        let unified = Path::new(UNIFIED).join("cgroup.controllers").exists();
        let cgroup = Self { name: name.to_owned(), inner: inner.to_owned(), unified };
        for controller in CONTROLLERS {
            let (root, path) = (cgroup.root(controller), cgroup.path(controller));
            let made = fs::create_dir_all(&path);
            made.unwrap_or_else(|error| {
                panic!("{} cannot be made: {error}; run the level signals as root", path.display())
            });
            if unified {
                // Controllers are handed down level by level.
                let above: Vec<&Path> =
                    path.ancestors().skip(1).take_while(|above| above.starts_with(&root)).collect();
                for group in above.into_iter().rev() {
                    write(&group.join("cgroup.subtree_control"), "+cpu +memory +io");
                }
            }
        }
        let quota_us = millicores * PERIOD_US / 1000;
        if unified {
            write(&cgroup.path("cpu").join("cpu.max"), &format!("{quota_us} {PERIOD_US}"));
        } else {
            write(&cgroup.path("cpu").join("cpu.cfs_quota_us"), &quota_us.to_string());
            for device in disks() {
                let limit = cgroup.path("blkio").join("blkio.throttle.write_bps_device");
                write(&limit, &format!("{device} {NO_LIMIT}"));
            }
        }
        cgroup
    }

    fn root(&self, controller: &str) -> PathBuf {
        if self.unified {
            return UNIFIED.into();
        }
        let mounts = fs::read_to_string("/proc/mounts").expect("the kernel tells its mounts");
        let found = mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let mine = fields[2] == "cgroup" && fields[3].split(',').any(|option| option == controller);
            mine.then(|| PathBuf::from(fields[1]))
        });
        found.unwrap_or_else(|| panic!("the cgroup controller {controller} is not mounted; mount it"))
    }

    fn path(&self, controller: &str) -> PathBuf {
        self.root(controller).join(&self.name).join(&self.inner)
    }

    /// The files that a process writes its id to, to join.
    pub(crate) fn procs(&self) -> Vec<PathBuf> {
        let mut all = CONTROLLERS.map(|controller| self.path(controller).join("cgroup.procs")).to_vec();
        all.dedup();
        all
    }

    pub(crate) fn counted(&self) -> Counted {
        let read = |controller: &str, file: &str| {
            let path = self.path(controller).join(file);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (cpu_seconds, disk_bytes, used, inactive) = if self.unified {
            let io = read("blkio", "io.stat");
            let disk = io.split_whitespace().filter_map(|word| {
                word.strip_prefix("rbytes=").or_else(|| word.strip_prefix("wbytes="))?.parse::<f64>().ok()
            });
            let cpu = value(&read("cpu", "cpu.stat"), "usage_usec") / 1e6;
            (cpu, disk.sum(), read("memory", "memory.current"), "inactive_file")
        } else {
            let io = read("blkio", "blkio.throttle.io_service_bytes");
            let disk = io.lines().filter(|line| line.contains(" Read ") || line.contains(" Write "));
            let disk = disk.map(|line| value(line, line.split(' ').nth(1).unwrap_or_default()));
            let cpu = read("cpuacct", "cpuacct.usage").trim().parse::<f64>().expect("nanoseconds") / 1e9;
            (cpu, disk.sum(), read("memory", "memory.usage_in_bytes"), "total_inactive_file")
        };
        let used: f64 = used.trim().parse().expect("bytes");
        let memory_bytes = used - value(&read("memory", "memory.stat"), inactive);
        Counted { cpu_seconds, disk_bytes, memory_bytes }
    }

    fn remove(&self) {
        let mut roots: Vec<PathBuf> =
            CONTROLLERS.iter().map(|controller| self.root(controller).join(&self.name)).collect();
        roots.dedup();
        for procs in self.procs() {
            for id in fs::read_to_string(procs).unwrap_or_default().split_whitespace() {
                let _ = Command::new("kill").args(["-9", id]).status();
            }
        }
        for root in roots {
            let inner = root.join(&self.inner);
            for group in inner.ancestors().take_while(|group| group.starts_with(&root)) {
                remove_empty(group);
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes a group, which is empty only when the kernel is done with what was ended: within five seconds.
#[allow(clippy::disallowed_methods, reason = "a drop cannot await")]
fn remove_empty(group: &Path) {
    for _ in 0..250 {
        if fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    eprintln!("{} is left behind; remove it with rmdir", group.display());
}

/// The number that follows a word.
fn value(text: &str, word: &str) -> f64 {
    let mut words = text.split_whitespace().skip_while(|other| *other != word).skip(1);
    words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {word} in {text}"))
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("`{text}` to {}: {error}", path.display()));
}

/// `major:minor` of every whole disk.
fn disks() -> Vec<String> {
    let all = fs::read_dir("/sys/block").expect("the kernel tells its disks");
    let names = all.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()));
    let real =
        names.filter(|name| !["loop", "ram", "zram", "sr"].iter().any(|start| name.starts_with(start)));
    real.filter_map(|name| fs::read_to_string(format!("/sys/block/{name}/dev")).ok())
        .map(|device| device.trim().to_owned())
        .collect()
}
