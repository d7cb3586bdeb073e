//! What the pods of a template need to start, and what of it must not be shared with a copy.
use serde_json::Value;
use std::collections::BTreeMap;

/// Names of what is copied with a pod; the value says whether it starts without.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) config_maps: BTreeMap<String, bool>,
    pub(super) secrets: BTreeMap<String, bool>,
}

impl Needs {
    fn add(of: &mut BTreeMap<String, bool>, reference: &Value, name: &str) {
        let Some(name) = reference[name].as_str() else { return };
        let optional = reference["optional"].as_bool().unwrap_or(false);
        // Once needed, always needed.
        *of.entry(name.to_owned()).or_insert(true) &= optional;
    }

    fn config_map(&mut self, reference: &Value) {
        Self::add(&mut self.config_maps, reference, "name");
    }

    fn secret(&mut self, reference: &Value, name: &str) {
        Self::add(&mut self.secrets, reference, name);
    }
}

/// Reads a pod template.
///
/// # Errors
/// What cannot be copied, in words.
pub(super) fn needs(template: &Value) -> Result<Needs, String> {
    let spec = &template["spec"];
    let mut needs = Needs::default();
    if spec["hostNetwork"] == true {
        return Err("its pods use the network of their node, which a copy cannot share".to_owned());
    }
    for secret in list(&spec["imagePullSecrets"]) {
        needs.secret(secret, "name");
    }
    for volume in list(&spec["volumes"]) {
        self::volume(volume, &mut needs)?;
    }
    for container in list(&spec["initContainers"]).iter().chain(list(&spec["containers"])) {
        let held =
            list(&container["ports"]).iter().find_map(|port| port["hostPort"].as_i64().filter(|p| *p > 0));
        if let Some(port) = held {
            return Err(format!("its pods hold port {port} of their node, which a copy cannot have too"));
        }
        for from in list(&container["envFrom"]) {
            needs.config_map(&from["configMapRef"]);
            needs.secret(&from["secretRef"], "name");
        }
        for variable in list(&container["env"]) {
            needs.config_map(&variable["valueFrom"]["configMapKeyRef"]);
            needs.secret(&variable["valueFrom"]["secretKeyRef"], "name");
        }
    }
    // Every namespace gets its own.
    for own in ["kube-root-ca.crt", "istio-ca-root-cert"] {
        needs.config_maps.remove(own);
    }
    Ok(needs)
}

fn volume(volume: &Value, needs: &mut Needs) -> Result<(), String> {
    let name = volume["name"].as_str().unwrap_or_default();
    let kind = volume.as_object().into_iter().flatten().map(|(kind, _)| kind.as_str());
    for kind in kind.filter(|kind| *kind != "name") {
        match kind {
            "emptyDir" | "downwardAPI" => {}
            "configMap" => needs.config_map(&volume[kind]),
            "secret" => needs.secret(&volume[kind], "secretName"),
            "projected" => {
                for source in list(&volume[kind]["sources"]) {
                    needs.config_map(&source["configMap"]);
                    needs.secret(&source["secret"], "name");
                }
            }
            other => {
                return Err(format!(
                    "volume {name} of its pods is a {other}, and a copy must not write where production does"
                ));
            }
        }
    }
    Ok(())
}

/// The elements of a list; none of anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
