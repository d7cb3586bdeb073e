use super::shop::Shop;
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";

fn mounts(source: &Value) -> Value {
    let mut volume = json!({"name": "data"});
    volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    json!({"volumes": [volume]})
}

fn claim(volume: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim", "metadata": {"name": "disk", "namespace": "shop"},
        "spec": {"volumeName": volume}
    })
}

fn volume(modes: &[&str], terms: &Value) -> Value {
    json!({
        "kind": "PersistentVolume", "metadata": {"name": "pv"},
        "spec": {"accessModes": modes, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    })
}

/// Zones, nodes and whether it is exclusive, of the only volume; or why it is pinned.
fn said(shop: &Shop) -> String {
    let cart = shop.workload("shop/cart");
    let of = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
    let volumes = cart.scheduling.volumes.iter().map(|volume| {
        let exclusive = if volume.exclusive { " exclusive" } else { "" };
        format!("{} zones[{}] nodes[{}]{exclusive}", volume.name, of(&volume.zones), of(&volume.nodes))
    });
    volumes.chain(cart.pinned.map(|reason| format!("pinned: {reason}"))).collect::<Vec<_>>().join("; ")
}

#[test]
fn storage_is_where_its_volume_can_be_reached() {
    let by = |key: &str, values: &[&str]| json!([{"matchExpressions": [{"key": key, "operator": "In", "values": values}]}]);
    for (volume, want) in [
        (volume(&["ReadWriteOnce"], &by(ZONE, &["a"])), "disk zones[a] nodes[] exclusive"),
        (volume(&["ReadWriteOncePod"], &by(ZONE, &["a", "b"])), "disk zones[a,b] nodes[] exclusive"),
        (volume(&["ReadWriteMany"], &by(ZONE, &["a"])), "disk zones[a] nodes[]"),
        (volume(&["ReadWriteOnce", "ReadWriteMany"], &by(ZONE, &["a"])), "disk zones[a] nodes[]"),
        (volume(&["ReadOnlyMany"], &by(ZONE, &["a"])), "disk zones[a] nodes[]"),
        (
            volume(&["ReadWriteOnce"], &by("kubernetes.io/hostname", &["n1"])),
            "disk zones[] nodes[n1] exclusive",
        ),
        // Drivers have zone labels of their own.
        (volume(&["ReadWriteMany"], &by("disk", &["ssd"])), "disk zones[] nodes[n1,n2,n3]"),
        (volume(&["ReadWriteMany"], &by("disk", &["hdd"])), "pinned: no node reaches volume `pv`"),
        (
            json!({"kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {"accessModes": ["ReadWriteMany"]}}),
            "disk zones[] nodes[]",
        ),
        (
            json!({"kind": "PersistentVolume", "metadata": {"name": "pv", "labels": {ZONE: "a__b"}}, "spec": {"accessModes": ["ReadWriteMany"]}}),
            "disk zones[a,b] nodes[]",
        ),
    ] {
        let mut shop = Shop::open();
        shop.cart_pods(&mounts(&json!({"persistentVolumeClaim": {"claimName": "disk"}})));
        shop.add(claim("pv")).add(volume.clone());
        assert_eq!(said(&shop), want, "{volume}");
    }
}

#[test]
fn storage_of_which_nothing_is_known_pins() {
    let claimed = json!({"persistentVolumeClaim": {"claimName": "disk"}});
    for (source, objects, want) in [
        (&claimed, vec![], "pinned: volume claim `disk` does not exist"),
        (&claimed, vec![claim("")], "pinned: volume claim `disk` is bound to no volume"),
        (&claimed, vec![claim("pv")], "pinned: volume `pv` of claim `disk` does not exist"),
        (
            &json!({"iscsi": {"lun": 0}}),
            vec![],
            "pinned: volume `data` is of kind iscsi, whose places are not known",
        ),
        (&json!({"emptyDir": {}}), vec![], ""),
        (&json!({"configMap": {"name": "x"}}), vec![], ""),
        (&json!({"hostPath": {"path": "/data"}}), vec![], "data zones[] nodes[n1,n2]"),
    ] {
        let mut shop = Shop::open();
        shop.cart_pods(&mounts(source));
        for object in objects {
            shop.add(object);
        }
        assert_eq!(said(&shop), want, "{source}");
    }
}

#[test]
fn a_volume_of_the_pod_itself_has_a_claim_of_its_own() {
    let mut shop = Shop::open();
    shop.change("Pod", "pay-1", json!({"spec": mounts(&json!({"ephemeral": {"volumeClaimTemplate": {}}}))}));
    let pinned = shop.workload("shop/pay").pinned;
    assert_eq!(pinned.as_deref(), Some("volume claim `pay-1-data` does not exist"));
}
