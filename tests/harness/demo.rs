//! The demo on a real platform, `scripts/demo --cluster` and `--swarm`, and what it promises.
use crate::place::root;
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// Three days of four minutes, the start of the testbed, and the first build of the planner on a busy machine.
const WITHIN: Duration = Duration::from_secs(1_800);

/// States in the order in which a move enters them; a trial that is waived is passed at once.
pub const STATES: [&str; 8] = [
    "Trial",
    "Reserving",
    "Surging",
    "Ramping(0)",
    "Draining",
    "Settling",
    "Settling(retiring)",
    "Succeeded",
];

/// Runs the short one in a folder of its own, and gives its comparison.
///
/// # Panics
/// When it does not end in time, or says that a promise is not kept.
pub async fn told(platform: &str, state: &str) -> Value {
    let mut demo = Command::new(root().join("scripts/demo"));
    demo.args([&format!("--{platform}"), "--quick", "--verify", "-o", "json"])
        // Beside the shared testbed, if that is up: they do not collide.
        .env("TESTBED_STATE", root().join(state))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    // With what cargo says to a test, another cargo builds half of the planner anew.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            demo.env_remove(name);
        }
    }
    let output =
        timeout(WITHIN, demo.output()).await.expect("it ends in time").expect("scripts/demo can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(output.status.success(), "{}: {}", output.status, told["broken"]);
    told
}

/// One move through all states without a failed request, settled before the breach that was predicted and the one that came
/// without it, and far fewer seconds over the objective.
///
/// # Panics
/// When it was not so.
pub fn is_kept(told: &Value) {
    let number = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("no `{name}` in {told:#}"));
    assert_eq!((&told["moves"], &told["failed_requests"]["with"]), (&1.into(), &0.into()), "{told:#}");
    assert!(told["requests"]["with"].as_u64() > Some(10_000), "{}", told["requests"]);
    let entered: Vec<&str> =
        told["move"]["states"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(entered, STATES, "{told:#}");
    assert!(number("settled_s") < number("breach_predicted_s"), "{told:#}");
    assert!(number("settled_s") < number("breach_without_s"), "{told:#}");
    let seconds = |side: &str| told["violation_seconds"][side].as_u64().expect("a number");
    assert!(
        seconds("without") >= 5 && seconds("with") * 5 <= seconds("without"),
        "{}",
        told["violation_seconds"]
    );
}
