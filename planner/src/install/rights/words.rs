//! The table in words, as `docs/rights.md` has it.
use super::{Need, RIGHTS, Right, Scope, Used};
use std::fmt::Write as _;

const HEAD: &str = "\
# What the planner may do in a cluster

Written by `foremesh install rights`; a test holds both together, and one on a real cluster compares this list with what
the API server says that a planner has done. Nothing here makes a pod outside the staging namespace, changes a template, or,
without `--trials-with-secrets`, reads a secret of others.
";

/// The table as Markdown.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for (need, title) in [
        (Need::Read, "To see, forecast and recommend"),
        (Need::Move, "To move workloads (`--moves`)"),
        (Need::Try, "To try moves first (`--trials`)"),
        (Need::TrySecrets, "To try those whose pods need secrets (`--trials-with-secrets`)"),
    ] {
        let _ = write!(text, "\n## {title}\n\n| may | what | where | for |\n|--|--|--|--|\n");
        for right in RIGHTS.iter().filter(|right| right.need == need) {
            let when = match right.used {
                Used::Usually => String::new(),
                Used::When(when) => format!("; only when {when}"),
            };
            let (verbs, at) = (right.verbs.join(", "), place(right.scope));
            let _ = writeln!(text, "| {verbs} | {} | {at} | {}{when} |", what(right), right.why);
        }
    }
    text
}

fn what(right: &Right) -> String {
    let group = if right.group.is_empty() { String::new() } else { format!(" (`{}`)", right.group) };
    let names = right.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let named = if names.is_empty() { String::new() } else { format!(" named {names}") };
    format!("{}{group}{named}", right.resources.join(", "))
}

const fn place(scope: Scope) -> &'static str {
    match scope {
        Scope::Everywhere => "cluster",
        Scope::Moved => "cluster, or the namespaces of `--only-in`",
        Scope::Own => "its own namespace",
        Scope::Istiod => "istiod's namespace",
        Scope::Staging => "the staging namespace",
    }
}
