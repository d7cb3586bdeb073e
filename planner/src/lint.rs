//! `foremesh lint`: policy and calendar files, read offline; what is wrong with them and where, what each rule does in
//! words, and which rules work against each other.
mod against;
mod explained;
mod findings;
mod found;
mod read;
mod single;
mod spans;
mod words;

pub use findings::{Finding, Findings, Severity};
pub use read::lint_text;

use crate::{
    args::{LintArgs, Output},
    clock::Clock,
    policies,
};
use anyhow::Context as _;
use foremesh_core::{time::Timestamp, topology::Snapshot};
use read::Linted;
use std::{path::Path, process::ExitCode};

/// Checks files; the exit code is 1 for errors and 3 for warnings alone.
///
/// # Errors
/// When a file or the snapshot cannot be read at all.
pub fn lint(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let snapshot = args.snapshot.as_deref().map(read_snapshot).transpose()?;
    let files = policies::files(&args.files)?;
    let mut linted = Linted::default();
    for file in &files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("file `{}` cannot be read; correct its name", file.display()))?;
        linted.read(&file.display().to_string(), &text);
    }
    let findings = judged(linted, snapshot.as_ref(), Clock::System.now());
    match args.output {
        Output::Table => print!("{findings}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&findings)?),
        Output::Yaml => print!("{}", yaml_serde::to_string(&findings)?),
    }
    Ok(match (findings.count(Severity::Error), findings.count(Severity::Warning)) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    })
}

/// Everything that can be said of what was read.
fn judged(linted: Linted, snapshot: Option<&Snapshot>, now: Timestamp) -> Findings {
    let Linted { mut findings, policies } = linted;
    for policy in &policies {
        single::check(policy, snapshot, now, &mut findings);
    }
    against::check(&policies, &mut findings);
    findings.rules = policies.iter().flat_map(explained::rules).collect();
    findings.sort();
    findings
}

/// A snapshot by itself, or the recorded inputs of a decision with one in them.
fn read_snapshot(path: &Path) -> anyhow::Result<Snapshot> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("snapshot `{name}` cannot be read"))?;
    let mut value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("snapshot `{name}` is no JSON"))?;
    let inside = value.get_mut("snapshot").map(serde_json::Value::take);
    serde_json::from_value(inside.unwrap_or(value)).with_context(|| {
        format!("`{name}` is no snapshot; give the JSON of one, or of the inputs of a decision")
    })
}

#[cfg(test)]
mod tests;
