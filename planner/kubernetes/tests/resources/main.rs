//! Against a real API server: `KUBECONFIG=... cargo test -p foremesh-kubernetes --test resources -- --ignored --nocapture`.
//! It applies the definitions, and otherwise only asks for dry runs.
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

mod calendars;
mod explained;
mod policies;
mod server;
mod watched;

use server::Server;

/// Who refuses a wrong document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The API server, when it is applied.
    Server,
    /// The planner, in the status: CEL cannot say it, for this reason.
    Planner(&'static str),
}

/// A document, what the check of files says of it, and who refuses it in a cluster; `None` for nobody.
struct Case {
    name: String,
    spec: serde_json::Value,
    wrong: Result<(), String>,
    by: Option<By>,
}

/// Compares both checks in all cases, and says all differences at once.
async fn compare(plural: &str, kind: &str, cases: Vec<Case>) {
    let server = Server::connect().await;
    let mut differences = Vec::new();
    let (mut refused, mut passed_on) = (0, 0);
    for Case { name, spec, wrong, by } in &cases {
        let said = server.try_to_create(plural, kind, spec).await;
        match (by, wrong, &said) {
            (None, Ok(()), Ok(())) => {}
            (Some(By::Server), Err(_), Err(_)) => refused += 1,
            (Some(By::Planner(_)), Err(_), Ok(())) => passed_on += 1,
            _ => differences.push(format!("{name}: wanted {by:?}, files {wrong:?}, API server {said:?}")),
        }
    }
    println!("{kind}: {} documents, {refused} refused by the API server, {passed_on} passed on", cases.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
