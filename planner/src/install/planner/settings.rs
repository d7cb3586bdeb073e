//! Settings and policies of an installed planner: what the administrator wrote, and what the installation decides.
use super::{API_PORT, MODULE_PORT, NAME, WEBHOOK_PORT, WEBHOOK_SERVICE};
use crate::{
    args::InstallPlannerArgs,
    policies::{self, parse},
    settings::Settings,
};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

/// Where the settings are in the pod.
pub(super) const FOLDER: &str = "/etc/foremesh";
/// Their file.
pub(super) const FILE: &str = "foremesh.yaml";
/// Where the policies are.
pub(super) const POLICIES: &str = "/etc/foremesh-policies";
/// The state directory.
pub(super) const STATE: &str = "/var/lib/foremesh";
/// Where images have the filter.
const MODULE: &str = "/opt/foremesh_filter.wasm";

/// What a planner begins with: it sees all services and changes nothing.
const STARTER: &str = include_str!("starter.yaml");

/// The settings file.
pub(super) fn settings(args: &InstallPlannerArgs) -> anyhow::Result<String> {
    let mut written = match &args.settings {
        None => Map::new(),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("settings file `{}` cannot be read", file.display()))?;
            yaml_serde::from_str(&text)
                .with_context(|| format!("settings file `{}` is no YAML of settings", file.display()))?
        }
    };
    for (field, value) in [
        ("listen", json!(format!("0.0.0.0:{API_PORT}"))),
        ("filterListen", json!(format!("0.0.0.0:{MODULE_PORT}"))),
        ("filterModule", json!(MODULE)),
        ("stateDirectory", json!(STATE)),
        ("policies", json!([POLICIES])),
    ] {
        let kept = written.entry(field).or_insert_with(|| value.clone());
        ensure!(
            *kept == value,
            "`{field}` of the settings is {kept}, but the installation makes it {value}; leave it out"
        );
    }
    let platform = written.entry("platform").or_insert_with(|| json!({"kubernetes": {}}));
    let Some(kubernetes) = platform.get_mut("kubernetes").and_then(Value::as_object_mut) else {
        bail!(
            "`platform` of the settings is {platform}, but the planner is to work with the cluster that it is in; leave it out"
        );
    };
    for field in ["kubeconfig", "context"] {
        ensure!(
            !kubernetes.contains_key(field),
            "`platform.kubernetes.{field}` is set, but a planner in a cluster has its own account; leave it out"
        );
    }
    ensure!(
        !kubernetes.contains_key("moves"),
        "`platform.kubernetes.moves` is set, but the installation writes it; leave it out, and give --moves"
    );
    if args.moves {
        let moves = json!({
            "namespace": args.namespace,
            "webhook": {"listen": format!("0.0.0.0:{WEBHOOK_PORT}"), "service": WEBHOOK_SERVICE},
            "istiod": {"namespace": args.istiod_namespace, "account": NAME}
        });
        kubernetes.insert("moves".to_owned(), moves);
    }
    stage(args, kubernetes)?;
    let text = yaml_serde::to_string(&written)?;
    Settings::parse(Path::new(FOLDER).join(FILE).as_path(), &text)?;
    Ok(text)
}

/// How far trials may load production is the administrator's; where they are made is the installation's.
fn stage(args: &InstallPlannerArgs, kubernetes: &mut Map<String, Value>) -> anyhow::Result<()> {
    if !args.trials {
        ensure!(
            !kubernetes.contains_key("staging"),
            "`platform.kubernetes.staging` is set, but nothing is tried without --trials; leave it out, or give --trials"
        );
        return Ok(());
    }
    let staging = kubernetes.entry("staging").or_insert_with(|| json!({}));
    let Some(staging) = staging.as_object_mut() else {
        bail!("`platform.kubernetes.staging` of the settings is {staging}, but it has fields; leave it out");
    };
    for field in ["namespace", "copySecrets", "kubeconfig", "context"] {
        ensure!(
            !staging.contains_key(field),
            "`platform.kubernetes.staging.{field}` is set, but the installation decides it; leave it out, and see \
             --staging-namespace and --trials-with-secrets"
        );
    }
    staging.insert("namespace".to_owned(), json!(args.staging_namespace));
    staging.insert("copySecrets".to_owned(), json!(args.trials_with_secrets));
    Ok(())
}

/// The policies, by the names of their files.
pub(super) fn policies(args: &InstallPlannerArgs) -> anyhow::Result<BTreeMap<String, String>> {
    if args.policies.is_empty() {
        tracing::info!("without --policies the planner only observes");
        return Ok([("starter.yaml".to_owned(), STARTER.to_owned())].into());
    }
    let mut files = BTreeMap::new();
    for file in policies::files(&args.policies)? {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("policy file `{}` cannot be read", file.display()))?;
        parse(&file, &text)?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ensure!(
            !name.is_empty() && name.chars().all(valid),
            "policy file `{}` cannot be part of a ConfigMap; name it by letters, digits, `-`, `_` and `.`",
            file.display()
        );
        ensure!(
            files.insert(name.to_owned(), text).is_none(),
            "two policy files are named `{name}`; give one of them another name"
        );
    }
    ensure!(!files.is_empty(), "there is no policy in --policies; add a `*.yaml` file, or leave it out");
    Ok(files)
}

/// Changes with what the planner reads when it starts.
pub(super) fn stamp(settings: &str, policies: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, text) in
        policies.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain([("", settings)])
    {
        hash.update(name.len().to_le_bytes());
        hash.update(name);
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
