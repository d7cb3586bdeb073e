//! The conformance suite: the same scenarios on every platform, each a real one under load.
//!
//! ```text
//! scenario ─► World ─► emulated plain hosts | Docker Swarm of several dockerds | Kubernetes with Istio
//!     │                    real Envoys, real services, an open load that counts each request
//!     └─► `foremesh serve`: handed a plan, killed, asked, misled
//! ```
//!
//! A scenario knows no platform; what it needs of one is [`world::World`]. `scripts/conformance` runs all of them and writes
//! the table in `docs/conformance.md` from what each has left in `build/conformance`.
mod on_cluster;
mod on_hosts;
mod on_swarm;
mod row;
mod scenarios;
mod world;

/// One test for each scenario of a platform, one after the other: each has the machine to itself.
macro_rules! scenarios {
    ($platform:ident, $world:ty: $($name:ident),* $(,)?) => {
        mod $platform {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::row::told::<$world>(stringify!($name), crate::scenarios::$name::<$world>).await;
                }
            )*

            /// Many moves, one after the other: `FOREMESH_MOVES` at `FOREMESH_RATE` requests a second.
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "takes long: scripts/conformance --moves"]
            async fn to_and_fro() {
                let moves = foremesh_tests::place::given("FOREMESH_MOVES", 10);
                let rate = foremesh_tests::place::given("FOREMESH_RATE", 500);
                let scenario = async || crate::scenarios::to_and_fro::<$world>(moves as usize, rate).await;
                crate::row::told::<$world>("to_and_fro", scenario).await;
            }
        }
    };
}

macro_rules! on_every_platform {
    ($($name:ident),* $(,)?) => {
        scenarios!(hosts, crate::on_hosts::Hosts: $($name),*);
        scenarios!(swarm, crate::on_swarm::InSwarm: $($name),*);
        scenarios!(cluster, crate::on_cluster::InKubernetes: $($name),*);
    };
}

on_every_platform!(
    one_of_one,
    one_of_many,
    shift_only,
    bad_target,
    source_dies,
    target_dies,
    planner_dies_on_the_way_on,
    planner_dies_on_the_way_back,
    outside_change,
    refuses_and_says_why,
    undo,
);
