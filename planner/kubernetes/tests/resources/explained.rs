//! What `kubectl explain` says.
use super::server::Server;
use std::process::Command;

fn explain(field: &str) -> String {
    let output = Command::new("kubectl").args(["explain", field]).output().expect("kubectl is on PATH");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It wraps lines as it likes.
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn every_field_says_what_it_is_with_defaults_and_examples() {
    let _ = Server::connect().await;
    for (field, excerpts) in [
        (
            "relocationpolicy",
            vec![
                "A policy of a namespace is about services of that namespace",
                "spec <Object> -required- Which services",
            ],
        ),
        (
            "relocationpolicy.spec",
            vec![
                "mode <string> enum: observe, recommend, approve, auto How far the policy may go: `observe` only says what it \
                 sees, `recommend` makes plans and shows them, `approve` makes plans that wait for a human, `auto` moves. \
                 When left out: `observe`.",
                "cooldown <string> Shortest time between two moves of one workload, from `0s` to `7d`; it grows by itself with \
                 each move in 24 hours. Examples: `15m`, `2h`. When left out: `15m`.",
                "rules <[]Object> -required- Reasons to move; any one of them is enough. Example: `[{name: slow, \
                 predictedLatency: {quantile: 0.99, above: 250ms}}]`.",
                "ramp <[]integer> Shares of the traffic in percent that the target gets, one step after the other: rising, and \
                 100 at the end. Example: `[10, 25, 50, 100]`. When left out: `[10, 25, 50, 100]`.",
            ],
        ),
        (
            "relocationpolicy.spec.rules",
            vec![
                "One reason to move: a name, and exactly one condition, or `all` of several.",
                "predictedUsage <Object> Fires when use of CPU, memory or disk I/O is predicted above a limit. Example: `{of: \
                 node, resource: cpu, above: 80%}`.",
            ],
        ),
        (
            "relocationpolicy.spec.rules.predictedLatency",
            vec![
                "above <string> -required- The objective, from `1ms` to `1h`, as a whole number with a unit.",
                "within <string> How far to look ahead, from `1s` to `7d`; not beyond the planner's `horizon`. Examples: \
                 `30m`, `2h`. When left out: `30m`.",
            ],
        ),
        (
            "relocationpolicy.spec.trial",
            vec![
                "waivedBy <string> Who takes the responsibility for moving without a trial. Example: `ops@example.com`.",
                "requests <[]Object> Requests that are sent to the copies, 32 kinds at most.",
            ],
        ),
        (
            "relocationpolicy.status",
            vec!["services <integer> How many services of the mesh the selector matches now."],
        ),
        (
            "eventcalendar.spec.events",
            vec![
                "when <Object> -required- When it takes place: exactly one of `at`, `cron`, `rrule` and `ical`.",
                "expectedEffect <string> Its effect as far as people know it, in force until a better one is learned",
            ],
        ),
    ] {
        let said = explain(field);
        for excerpt in excerpts {
            assert!(said.contains(excerpt), "{field} does not say\n{excerpt}\nbut\n{said}");
        }
    }
}
