//! What is refused before anything is changed.
use super::{
    super::{
        decide::{At, Step, place, settled},
        error::Why,
        seen::{Scaler, Seen},
    },
    n,
    world::{World, id},
};

type Change = fn(&mut Seen);

#[test]
fn what_is_under_way_is_not_moved() {
    let scaler = |change: fn(&mut Scaler)| {
        let mut scaler = Scaler { name: "web".to_owned(), min: 1, max: 5, ..Scaler::default() };
        change(&mut scaler);
        scaler
    };
    let with = |seen: &mut Seen, scalers: &[Scaler]| seen.scalers = scalers.to_vec();
    let cases: [(Change, Why, &str); 9] = [
        (|seen| seen.deployment = None, Why::NotFound, "there is no such Deployment"),
        (
            |seen| seen.deployment.as_mut().unwrap().changing = Some("its rollout is paused".to_owned()),
            Why::RollingOut,
            "workload `shop/web`: its rollout is paused; let its rollout end, or resume it",
        ),
        (|seen| seen.pods[0].current = false, Why::RollingOut, "pods of an older version are still there"),
        (|seen| seen.pods.truncate(1), Why::Scaling, "it has 1 replicas and is to have 2"),
        (
            |seen| seen.deployment.as_mut().unwrap().wanted = 0,
            Why::Scaling,
            "it has 2 replicas and is to have 0",
        ),
        (
            |seen| {
                seen.pods[1].ready = false;
                seen.pods[1].trouble = Some("it is not ready: so".to_owned());
            },
            Why::NotReady,
            "replica `p2` is not ready: it is not ready: so",
        ),
        (|seen| seen.pods[1].terminating = true, Why::Scaling, "it has 1 replicas and is to have 2"),
        (
            |seen| seen.deployment.as_mut().unwrap().terminating = true,
            Why::NotFound,
            "or it is being deleted",
        ),
        (|_| {}, Why::Cluster, ""),
    ];
    for (change, why, text) in cases {
        let mut seen = World::with(2).seen();
        change(&mut seen);
        let at = At { workload: &id(), entry: None, seen: &seen, late: false, raised: false };
        match place(&at, &n("n2")) {
            Step::Fail(error) => {
                assert_eq!(error.why, why, "{error}");
                assert!(error.to_string().contains(text), "{error}");
            }
            Step::Store(_) => assert!(text.is_empty(), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    for (scalers, why, text) in [
        (vec![scaler(|_| {})], None, ""),
        (vec![scaler(|of| of.desired = Some(2))], None, ""),
        (vec![scaler(|_| {}), scaler(|_| {})], Some(Why::ScaledByOthers), "both set its number of replicas"),
        (vec![scaler(|of| of.max = 2)], Some(Why::Scaling), "allows at most 2; raise its maxReplicas"),
        (vec![scaler(|of| of.desired = Some(3))], Some(Why::Scaling), "is changing its number of replicas"),
        (
            vec![scaler(|of| of.owner = Some("ScaledObject web".to_owned()))],
            Some(Why::ScaledByOthers),
            "belongs to ScaledObject web",
        ),
    ] {
        let mut seen = World::with(2).seen();
        with(&mut seen, &scalers);
        let at = At { workload: &id(), entry: None, seen: &seen, late: false, raised: false };
        let refused = settled(&at).err();
        assert_eq!(refused.as_ref().map(|error| error.why.clone()), why, "{scalers:?}");
        assert!(refused.is_none_or(|error| error.to_string().contains(text)), "{scalers:?}");
    }
}
