//! A load in a testbed that is ended when its test has seen enough.
use crate::testbed::Testbed;
use serde_json::Value;
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    task::JoinHandle,
};

/// Longer than any test looks at a load that it ends itself; a hundred moves take more than an hour.
const LONG: &str = "10000";

/// A load that goes on until it is ended, read second by second.
#[derive(Debug)]
pub struct EverySecond {
    child: Child,
    lines: JoinHandle<Vec<Value>>,
}

impl EverySecond {
    /// Starts `workload load URL`; `workload` is how that program is run inside.
    ///
    /// # Panics
    /// When the script cannot be run.
    pub fn start(testbed: &Testbed, workload: &[&str], url: &str, rate: u32) -> Self {
        let mut command = testbed.script(&[&["exec"], workload].concat());
        let rate = rate.to_string();
        command.args(["load", url, "--rate", &rate, "--every-second", "--seconds", LONG]);
        // What is wrong with it is told where the test's own output goes.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("scripts/testbed can be started");
        let out = child.stdout.take().expect("its output is read");
        let lines = tokio::spawn(async move {
            let (mut seconds, mut lines) = (Vec::new(), BufReader::new(out).lines());
            while let Ok(Some(line)) = lines.next_line().await {
                seconds.extend(serde_json::from_str(&line));
            }
            seconds
        });
        Self { child, lines }
    }

    /// Ends it; gives the seconds that were over. It may send for a little longer what nobody counts.
    ///
    /// # Panics
    /// When it has ended by itself: then nobody knows what it did not send.
    pub async fn end(mut self) -> Vec<Value> {
        assert!(matches!(self.child.try_wait(), Ok(None)), "the load ended by itself");
        self.child.kill().await.expect("the load can be ended");
        self.lines.await.expect("its lines can be read")
    }
}
