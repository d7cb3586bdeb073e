//! The whole loop in a real Swarm, as `scripts/demo --swarm` shows it: the edge reports, a breach is forecast, the task is moved, and
//! that is settled before the breach that the same service beside it has. Twelve minutes, so it is run by name:
//! `cargo test -p foremesh-tests --test swarm -- --ignored closed_loop`.
use foremesh_tests::demo;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "twelve minutes; `scripts/demo --swarm --quick --verify` does the same"]
async fn it_is_moved_before_the_breach_that_comes_without() {
    let told = demo::told("swarm", "build/swarm/test-demo").await;
    demo::is_kept(&told);
    assert_eq!(
        (&told["move"]["from"], &told["move"]["to"]),
        (&"node-2".into(), &"node-3".into()),
        "{told:#}"
    );
}
