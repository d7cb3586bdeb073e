//! One running Envoy.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::{Admin, AdminError};
use crate::child::{Child, ChildError, ChildSpec};

/// Time between two looks at a starting Envoy.
const POLL: Duration = Duration::from_millis(25);

/// Why an Envoy is not there or not ready.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// No program to start.
    #[error("no Envoy at {}: name the program, put `envoy` on the PATH, or run scripts/setup", places.join(", "))]
    NoBinary {
        /// Where it was looked for.
        places: Vec<String>,
    },
    /// The configuration cannot be written.
    #[error("cannot write the configuration of Envoy `{name}` to {path}")]
    Write {
        /// Name of the Envoy.
        name: String,
        /// Path of the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The process cannot be started or ended.
    #[error("the process of Envoy `{name}` fails")]
    Process {
        /// Name of the Envoy.
        name: String,
        /// What happened.
        #[source]
        source: ChildError,
    },
    /// The process ended by itself.
    #[error("Envoy `{name}` ended ({status}); the end of its log {log}:\n{tail}")]
    Ended {
        /// Name of the Envoy.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The process runs but does not serve.
    #[error("Envoy `{name}` was not ready within {deadline:?}; the end of its log {log}:\n{tail}")]
    NotReady {
        /// Name of the Envoy.
        name: String,
        /// How long the caller waited.
        deadline: Duration,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The admin interface refuses.
    #[error("Envoy `{name}` cannot be asked")]
    Admin {
        /// Name of the Envoy.
        name: String,
        /// What happened.
        #[source]
        source: AdminError,
    },
}

/// How to run an Envoy.
#[derive(Debug, Clone)]
pub struct EnvoyOptions {
    /// Name in messages and of its files.
    pub name: String,
    /// The program, see [`find_binary`].
    pub binary: PathBuf,
    /// Directory for configuration and log.
    pub directory: PathBuf,
    /// Port of the admin interface, as in the configuration.
    pub admin_port: u16,
    /// Worker threads.
    pub concurrency: u32,
    /// Seconds over which a graceful drain closes connections.
    pub drain_seconds: u32,
    /// Log level, such as `warning` or `info`.
    pub log_level: String,
}

impl EnvoyOptions {
    /// One worker, drain of 5 s (what Istio uses), warnings in the log.
    pub fn new(name: &str, binary: &Path, directory: &Path, admin_port: u16) -> Self {
        Self {
            name: name.to_owned(),
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            admin_port,
            concurrency: 1,
            drain_seconds: 5,
            log_level: "warning".to_owned(),
        }
    }

    fn arguments(&self, config: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-c".into(), config.into()];
        let pairs = [
            ("--concurrency", self.concurrency.to_string()),
            ("--drain-time-s", self.drain_seconds.to_string()),
            ("--log-level", self.log_level.clone()),
            ("--log-path", self.directory.join(format!("{}.log", self.name)).display().to_string()),
        ];
        for (flag, value) in pairs {
            arguments.extend([flag.into(), value.into()]);
        }
        // Hot restart uses shared memory with a name per machine, which several Envoys would fight for.
        arguments.push("--disable-hot-restart".into());
        arguments
    }
}

/// A running Envoy; dropping it kills the process.
#[derive(Debug)]
pub struct EnvoyProcess {
    child: Child,
    admin: Admin,
    log: PathBuf,
}

impl EnvoyProcess {
    /// Writes the configuration and starts the process; it is not ready yet.
    pub async fn start(config: &str, options: &EnvoyOptions) -> Result<Self, EnvoyError> {
        let name = options.name.clone();
        let path = options.directory.join(format!("{name}.yaml"));
        if let Err(source) = tokio::fs::write(&path, config).await {
            return Err(EnvoyError::Write { name, path, source });
        }
        let spec = ChildSpec {
            name: name.clone(),
            program: options.binary.clone(),
            arguments: options.arguments(&path),
            log: options.directory.join(format!("{name}.out")),
        };
        let child = Child::start(spec).await.map_err(|source| EnvoyError::Process { name, source })?;
        let log = options.directory.join(format!("{}.log", options.name));
        Ok(Self { child, admin: Admin::new(options.admin_port), log })
    }

    /// Waits until Envoy serves.
    pub async fn wait_until_ready(&mut self, deadline: Duration) -> Result<(), EnvoyError> {
        let poll = async {
            loop {
                if let Some(status) = self.child.ended() {
                    return Some(status);
                }
                if self.admin.is_ready().await {
                    return None;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(deadline, poll).await {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.has_ended(status)),
            Err(_) => {
                let (name, log) = (self.child.name().to_owned(), self.log.clone());
                Err(EnvoyError::NotReady { name, deadline, log, tail: self.tail() })
            }
        }
    }

    /// Whether it still runs; the error says how it ended, and the end of its log.
    pub fn must_run(&mut self) -> Result<(), EnvoyError> {
        self.child.ended().map_or(Ok(()), |status| Err(self.has_ended(status)))
    }

    fn has_ended(&self, status: ExitStatus) -> EnvoyError {
        EnvoyError::Ended {
            name: self.child.name().to_owned(),
            status,
            log: self.log.clone(),
            tail: self.tail(),
        }
    }

    /// The admin interface.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Envoy's log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Process id, as long as the process runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks the clients of inbound listeners to leave.
    pub async fn drain_inbound(&self) -> Result<(), EnvoyError> {
        let drained = self.admin.drain_inbound().await;
        drained.map_err(|source| EnvoyError::Admin { name: self.child.name().to_owned(), source })
    }

    /// Sends SIGTERM and waits for the end; kills the process when it takes longer than `patience`.
    pub async fn stop(&mut self, patience: Duration) -> Result<ExitStatus, EnvoyError> {
        let status = self.child.stop(patience).await;
        status.map_err(|source| EnvoyError::Process { name: self.child.name().to_owned(), source })
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) -> Result<ExitStatus, EnvoyError> {
        let status = self.child.kill().await;
        status.map_err(|source| EnvoyError::Process { name: self.child.name().to_owned(), source })
    }

    fn tail(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let text = read(self.child.log()) + &read(&self.log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

/// Finds the Envoy program: the given one, else `envoy` in the directories of `search_path`, else `build/bin/envoy`
/// under `root`, which is where `scripts/setup` puts it.
///
/// `search_path` is the value of `PATH`; it is an argument because only the binary reads the environment.
pub fn find_binary(
    given: Option<&Path>,
    search_path: Option<&str>,
    root: &Path,
) -> Result<PathBuf, EnvoyError> {
    let places: Vec<PathBuf> = if let Some(given) = given {
        vec![given.to_owned()]
    } else {
        let on_path = search_path.into_iter().flat_map(|path| path.split(':'));
        let on_path = on_path.filter(|directory| !directory.is_empty()).map(|d| Path::new(d).join("envoy"));
        on_path.chain([root.join("build/bin/envoy")]).collect()
    };
    let found = places.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| EnvoyError::NoBinary {
        places: places.iter().map(|path| path.display().to_string()).collect(),
    })
}
