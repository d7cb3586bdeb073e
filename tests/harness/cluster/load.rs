//! Loads that run in a pod, through its sidecar.
use super::{Namespace, said};
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncReadExt, process::Child};

/// A load on its way; dropping it ends it.
#[derive(Debug)]
pub struct Load {
    child: Child,
    within: Duration,
}

impl Load {
    /// Starts `workload load URL OPTION…` in a pod.
    ///
    /// # Panics
    /// When the script cannot be run.
    pub fn start(space: &Namespace, pod: &str, url: &str, options: &[&str], within: Duration) -> Self {
        let namespace = ["exec", "kubectl", "--namespace", space.name(), "exec", pod, "-c", "app", "--"];
        let mut command = space.cluster().script(&namespace);
        command.args(["/workload", "load", url]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("scripts/testbed can be started"), within }
    }

    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its result, when it has ended.
    ///
    /// # Panics
    /// When it takes longer than it may, or gives no result.
    pub async fn finish(mut self) -> Value {
        let (mut out, mut err) = (self.child.stdout.take(), self.child.stderr.take());
        let end = async {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if let (Some(out), Some(err)) = (&mut out, &mut err) {
                tokio::try_join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr))?;
            }
            let status = self.child.wait().await?;
            Ok(std::process::Output { status, stdout, stderr })
        };
        let text = said("workload load", self.within, end).await.unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("the load gave no JSON ({error}): {text}"))
    }
}
