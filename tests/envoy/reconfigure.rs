//! Changes of the filter's configuration under load. Envoy makes a new root context in the same VM for each; a filter
//! that keeps its state in the root context loses data here, silently.
use foremesh_tests::{Delivery, Fleet, Rig, until};
use serde_json::json;
use std::time::Duration;

/// Longer than it takes to send again what an old root context sent, the answer to which may never come.
const RESEND: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_changes_of_the_configuration_under_load_lose_nothing() {
    let mut rig = Rig::start(async |spec| spec.delivery = Delivery::Discovered).await;
    let fleet = Fleet::start(rig.proxy.address(), &rig.proxy.paths(), 800.0);
    let both = async || {
        let stored = rig.planner.stored().await;
        if stored.streams.len() == 2 { Ok(stored.epochs()) } else { Err(stored.describe()) }
    };
    let epochs = until("both workers to deliver", Duration::from_secs(20), both).await;

    for (change, error) in [
        (json!({"max_keys": 300}), ""),
        (json!({"max_keys": 0}), "max_keys is 0"),
        (json!({"max_keys": 400, "log_push": true}), ""),
    ] {
        rig.proxy.reconfigure(&change).await;
        // Each worker says in its next summary what it makes of the configuration, so the change has arrived.
        let taken = async || {
            let streams = rig.planner.stored().await.streams;
            let taken = streams.iter().all(|stream| {
                if error.is_empty() {
                    stream.config_error.is_empty()
                } else {
                    stream.config_error.contains(error)
                }
            });
            if taken {
                Ok(())
            } else {
                Err(format!("{:?}", streams.iter().map(|s| &s.config_error).collect::<Vec<_>>()))
            }
        };
        until(&format!("the configuration {change}"), Duration::from_secs(20), taken).await;
    }

    let sent = fleet.run_for(Duration::from_secs(2)).await;
    let stored = rig.settle(sent.all_ok(), RESEND).await;
    assert_eq!(rig.proxy.requests().await, [sent.all_ok(); 3], "Envoy's total, completed and 2xx");
    assert_eq!(stored.epochs(), epochs, "the workers' state survives");
    println!(
        "3 changes: {} sent, {} stored, {} duplicates",
        sent.all_ok(),
        stored.observations(),
        stored.duplicates()
    );
}
