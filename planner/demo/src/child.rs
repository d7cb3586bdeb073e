//! Child processes that never outlive this one.
//!
//! Three nets, each for what the one before misses: [`Child::stop`] ends a child in order; dropping a [`Child`] kills
//! it; and when this process is killed without a chance to do either, the kernel kills the child (`PR_SET_PDEATHSIG`,
//! set through `setpriv` of util-linux, because setting it here would need `unsafe`). Without `setpriv` the third
//! net is missing, and that is logged.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use tokio::process::Command;
use tokio::runtime::Handle;

/// Why a child process could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The file for the output of the child cannot be made.
    #[error("cannot write the log of `{name}` to {path}")]
    Log {
        /// Name of the child.
        name: String,
        /// Path of its log.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start `{name}` from {program}")]
    Spawn {
        /// Name of the child.
        name: String,
        /// Path of the program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The signal could not be sent or the end not be awaited.
    #[error("cannot end `{name}`")]
    End {
        /// Name of the child.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A running child process; dropping it kills it.
#[derive(Debug)]
pub struct Child {
    name: String,
    log: PathBuf,
    process: tokio::process::Child,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// Name in messages.
    pub name: String,
    /// Program to run.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// File that gets what the program writes to stdout and stderr.
    pub log: PathBuf,
}

impl Child {
    /// Starts a program in a process group of its own, so that Ctrl-C in a terminal reaches only its parent.
    pub async fn start(spec: ChildSpec) -> Result<Self, ChildError> {
        let log_error = |source| ChildError::Log { name: spec.name.clone(), path: spec.log.clone(), source };
        let output = File::create(&spec.log).map_err(log_error)?;
        let errors = output.try_clone().map_err(log_error)?;
        let mut command = bound_to_this_process(&spec.program, setpriv());
        command
            .args(&spec.arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        match spawn_on_lasting_thread(command).await {
            Ok(process) => Ok(Self { name: spec.name, log: spec.log, process }),
            Err(source) => Err(ChildError::Spawn { name: spec.name, program: spec.program, source }),
        }
    }

    /// The name that was given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// File with the output of the process.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Process id, as long as the process has not been awaited.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends SIGTERM and waits for the end; kills the process when it takes longer than `patience`.
    pub async fn stop(&mut self, patience: Duration) -> Result<ExitStatus, ChildError> {
        self.terminate().await?;
        match tokio::time::timeout(patience, self.process.wait()).await {
            Ok(status) => status.map_err(|source| ChildError::End { name: self.name.clone(), source }),
            Err(_) => self.kill().await,
        }
    }

    /// Sends SIGTERM and returns at once.
    pub async fn terminate(&mut self) -> Result<(), ChildError> {
        // The process is not awaited yet, so its id cannot belong to another one.
        let Some(id) = self.process.id() else { return Ok(()) };
        let sent = Command::new("/bin/sh")
            .args(["-c", "kill -TERM \"$0\"", &id.to_string()])
            .stderr(Stdio::null())
            .status()
            .await;
        sent.map(|_| ()).map_err(|source| ChildError::End { name: self.name.clone(), source })
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) -> Result<ExitStatus, ChildError> {
        let name = self.name.clone();
        let end = async {
            self.process.start_kill()?;
            self.process.wait().await
        };
        end.await.map_err(|source| ChildError::End { name, source })
    }
}

/// Whether children are killed by the kernel when this process dies without ending them.
pub fn outlives_nothing() -> bool {
    setpriv().is_some()
}

/// Finds a program in the directories of the search path that Debian and its descendants use.
fn setpriv() -> Option<&'static Path> {
    ["/usr/bin/setpriv", "/bin/setpriv"].iter().map(Path::new).find(|path| path.exists())
}

fn bound_to_this_process(program: &Path, setpriv: Option<&Path>) -> Command {
    let Some(setpriv) = setpriv else {
        tracing::warn!(program = %program.display(), "setpriv is missing, a killed parent leaves this child behind");
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// One request to the thread of [`spawn_on_lasting_thread`].
struct Spawn {
    command: Command,
    runtime: Handle,
    answer: tokio::sync::oneshot::Sender<std::io::Result<tokio::process::Child>>,
}

/// Starts a process from a thread that lives as long as this process.
///
/// The kernel sends the death signal when the *thread* that started the child ends, and threads of the async runtime
/// may end early.
async fn spawn_on_lasting_thread(command: Command) -> std::io::Result<tokio::process::Child> {
    static THREAD: OnceLock<mpsc::Sender<Spawn>> = OnceLock::new();
    let thread = THREAD.get_or_init(|| {
        let (requests, received) = mpsc::channel::<Spawn>();
        std::thread::spawn(move || {
            for Spawn { mut command, runtime, answer } in received {
                let _runtime = runtime.enter();
                // Nobody waits any more: the child is dropped and so killed.
                drop(answer.send(command.spawn()));
            }
        });
        requests
    });
    let (answer, answered) = tokio::sync::oneshot::channel();
    let request = Spawn { command, runtime: Handle::current(), answer };
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    thread.send(request).map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}
