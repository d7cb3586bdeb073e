//! Who this proxy is: the configuration's word first, then what Istio put in the node metadata, then the node itself.
use crate::config::Overrides;
use crate::host::Host;
use foremesh_summary::Proxy;
use foremesh_summary::name::{MAX_NAME_BYTES, clean};

/// Name of a workload or a replica of which nothing is known.
const UNKNOWN: &str = "unknown";

/// Reads the identity once; each answer costs a host call.
///
/// Workload and pod are never empty, because a summary without them cannot be placed: they fall back to the node's
/// cluster and id, as `--service-cluster` and `--service-node` of a plain Envoy set them.
pub fn read(host: &impl Host, overrides: &Overrides) -> Proxy {
    let ask = |path: &[&str]| {
        host.property(path).filter(|bytes| !bytes.is_empty()).map(|bytes| clean(&bytes, MAX_NAME_BYTES))
    };
    let metadata = |name: &str| ask(&["xds", "node", "metadata", name]);
    let node_id = || ask(&["xds", "node", "id"]);
    let node_cluster = || ask(&["xds", "node", "cluster"]);
    let given = |value: &Option<String>| value.as_ref().map(|text| clean(text.as_bytes(), MAX_NAME_BYTES));
    Proxy {
        mesh: given(&overrides.mesh).or_else(|| metadata("MESH_ID")).unwrap_or_default(),
        cluster: given(&overrides.cluster).or_else(|| metadata("CLUSTER_ID")).unwrap_or_default(),
        namespace: given(&overrides.namespace).or_else(|| metadata("NAMESPACE")).unwrap_or_default(),
        workload: given(&overrides.workload)
            .or_else(|| metadata("WORKLOAD_NAME"))
            .or_else(node_cluster)
            .or_else(node_id)
            .unwrap_or_else(|| UNKNOWN.to_owned()),
        pod: given(&overrides.pod)
            .or_else(|| metadata("NAME"))
            .or_else(node_id)
            .unwrap_or_else(|| UNKNOWN.to_owned()),
        node: given(&overrides.node).or_else(|| metadata("NODE_NAME")).unwrap_or_default(),
        zone: given(&overrides.zone)
            .or_else(|| ask(&["xds", "node", "locality", "zone"]))
            .unwrap_or_default(),
    }
}
