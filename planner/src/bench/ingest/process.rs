//! The server as a process: start, measure, stop.
use super::{
    BenchError,
    server::{Ended, Mode},
};
use std::{ffi::OsString, fs, net::SocketAddr, path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A running server; it is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    hello: String,
    id: u32,
}

impl Server {
    /// Starts it, and waits until it says its first line.
    pub(super) async fn start(command: &[OsString], folder: &Path, mode: Mode) -> Result<Self, BenchError> {
        let (program, arguments) = command.split_first().ok_or_else(|| BenchError::Server(String::new()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(folder)
            .arg(mode.name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(BenchError::io("start the server of the benchmark"))?;
        let lost = || BenchError::Server("nothing".to_owned());
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or_else(lost)?);
        let id = child.id().ok_or_else(lost)?;
        let mut server =
            Self { child, input, output: BufReader::new(output).lines(), hello: String::new(), id };
        server.hello = server.line().await?;
        Ok(server)
    }

    async fn line(&mut self) -> Result<String, BenchError> {
        let line = self.output.next_line().await.map_err(BenchError::io("read from the server"))?;
        line.ok_or_else(|| BenchError::Server("nothing".to_owned()))
    }

    /// Its first line.
    pub(super) fn hello(&self) -> &str {
        &self.hello
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr, BenchError> {
        self.hello.parse().map_err(|_| BenchError::Server(self.hello.clone()))
    }

    /// CPU time of all its threads so far.
    pub(super) fn cpu_seconds(&self) -> Result<f64, BenchError> {
        let failed = || BenchError::io("read the CPU time of the server");
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id)).map_err(failed())? {
            let path = task.map_err(failed())?.path().join("schedstat");
            let text = fs::read_to_string(path).map_err(failed())?;
            nanoseconds += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    /// Ends it in order; gives what it says of itself.
    pub(super) async fn stop(mut self) -> Result<Ended, BenchError> {
        self.input = None;
        let line = self.line().await?;
        let ended = serde_json::from_str(&line).map_err(|_| BenchError::Server(line))?;
        self.child.wait().await.map_err(BenchError::io("wait for the server"))?;
        Ok(ended)
    }
}

/// A number of `/proc/self/FILE` by its name.
pub(in crate::bench) fn own_number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(0)
}
