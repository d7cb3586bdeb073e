//! The built module itself: what it exports, how large it is, and that it does not grow in use.
use foremesh_strip::{FILTER, exports};
use foremesh_tests::load::hammer;
use foremesh_tests::{Module, Rig, Route, Target};
use std::time::Duration;

/// Largest module.
const MAX_BYTES: usize = 150_000;
/// Most that the proxy may grow over 200 000 requests, in KiB.
const MAX_GROWTH_KIB: u64 = 3 * 1024;

#[test]
fn modules_export_exactly_what_envoy_needs() {
    for module in [Module::Filter, Module::Trapping] {
        let bytes = std::fs::read(module.path()).expect("the module can be read");
        let found = exports(&bytes).expect("the module is valid");
        assert_eq!(found, FILTER, "exports of {module:?}");
        println!("{module:?}: {} bytes", bytes.len());
    }
}

#[test]
fn the_module_is_small() {
    let bytes = std::fs::metadata(Module::Filter.path()).expect("the module can be read").len() as usize;
    assert!(bytes <= MAX_BYTES, "the module has {bytes} bytes, {MAX_BYTES} are allowed");
}

/// An export too much (`proxy_on_context_create` without `proxy_on_delete`) leaks some bytes for each stream, which
/// only many streams show. Requests with a full attribute list and requests without are both among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_over_250_000_requests() {
    let rig = Rig::start(async |spec| {
        for route in spec.routes.iter_mut().skip(5) {
            *route = Route { target: Target::Direct(200), ..route.clone() };
        }
    })
    .await;
    let paths = rig.proxy.paths();
    hammer(rig.proxy.address(), &paths, 16, 50_000).await;
    let early = rig.proxy.resident_kib();
    hammer(rig.proxy.address(), &paths, 16, 200_000).await;
    let late = rig.proxy.resident_kib();
    println!("resident after 50 000 requests {early} KiB, after 250 000 {late} KiB");
    let growth = late.saturating_sub(early);
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB more after 250 000 requests than after 50 000");
    let stored = rig.settle(250_000, Duration::from_secs(2)).await;
    assert_eq!(rig.proxy.requests().await, [250_000; 3], "Envoy's total, completed and 2xx");
    let fallbacks: u64 = stored.streams.iter().map(|stream| stream.fallbacks).sum();
    println!("{fallbacks} of 250 000 observations were read one by one");
}
