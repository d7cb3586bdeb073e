use super::*;
use crate::args::{Args, Command, InstallCommand};
use clap::Parser as _;

fn args(options: &[&str]) -> InstallPlannerArgs {
    let argv = ["foremesh", "install", "planner"].iter().chain(options);
    match Args::try_parse_from(argv).unwrap().command {
        Command::Install(InstallCommand::Planner(args)) => *args,
        other => panic!("{other:?}"),
    }
}

fn objects_of(options: &[&str]) -> anyhow::Result<Vec<Value>> {
    objects(&args(options))
}

fn rendered(options: &[&str]) -> Vec<Value> {
    objects_of(options).unwrap()
}

fn of<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|of| of["kind"] == kind && of["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

#[test]
fn everything_is_labelled_so_that_it_is_found_again() {
    for object in rendered(&["--moves", "--trials", "--only-in", "shop", "--api-from", "monitoring"]) {
        assert_eq!(object["metadata"]["labels"][MANAGED_BY], NAME, "{object:#}");
    }
}

#[test]
fn without_moves_nothing_is_there_that_could_change_anything() {
    let objects = rendered(&[]);
    let kinds: Vec<String> = objects
        .iter()
        .map(|of| format!("{} {}", of["kind"], of["metadata"]["name"]).replace('"', ""))
        .collect();
    for absent in
        ["MutatingWebhookConfiguration", "Secret", "foremesh-webhook", "foremesh-moved", "foremesh-moving"]
    {
        assert!(kinds.iter().all(|kind| !kind.contains(absent)), "{absent} in {kinds:?}");
    }
    let settings = of(&objects, "ConfigMap", "foremesh-settings")["data"][settings::FILE].as_str().unwrap();
    assert!(!settings.contains("moves"), "{settings}");
    assert!(objects.iter().all(|of| of["metadata"]["namespace"] != "istio-system"));
}

#[test]
fn the_pod_has_no_more_than_it_needs() {
    let objects = rendered(&["--moves"]);
    let pod = &of(&objects, "Deployment", NAME)["spec"]["template"]["spec"];
    let (own, container) = (&pod["securityContext"], &pod["containers"][0]);
    assert_eq!(
        (&own["runAsNonRoot"], &own["seccompProfile"]["type"]),
        (&json!(true), &json!("RuntimeDefault"))
    );
    let limits = &container["securityContext"];
    assert_eq!(limits["allowPrivilegeEscalation"], false);
    assert_eq!(limits["readOnlyRootFilesystem"], true);
    assert_eq!(limits["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(pod["volumes"][2]["persistentVolumeClaim"]["claimName"], "foremesh-state");
    let ephemeral = rendered(&["--ephemeral"]);
    assert!(ephemeral.iter().all(|of| of["kind"] != "PersistentVolumeClaim"));
    assert_eq!(
        of(&ephemeral, "Deployment", NAME)["spec"]["template"]["spec"]["volumes"][2]["emptyDir"],
        json!({})
    );
}

/// What the installation makes empty must not be filled by applying it again: kubectl would empty it.
#[test]
fn what_the_planner_fills_is_left_to_it() {
    let objects = rendered(&["--moves"]);
    for (kind, name, field) in [
        ("ConfigMap", MOVING_NAME, "data"),
        ("Secret", WEBHOOK_SECRET, "data"),
        ("Lease", LEASE_NAME, "spec"),
        ("MutatingWebhookConfiguration", PLACEMENT_CONFIGURATION, "webhooks"),
    ] {
        assert!(of(&objects, kind, name).get(field).is_none(), "{kind} {name}");
    }
}

#[test]
fn another_setting_or_policy_is_another_pod() {
    let folder = tempfile::tempdir().unwrap();
    let (written, policy) = (folder.path().join("foremesh.yaml"), folder.path().join("web.yaml"));
    std::fs::write(&written, "interval: 10s\nplatform: {kubernetes: {clusterDomain: example.org}}\n")
        .unwrap();
    std::fs::write(&policy, include_str!("starter.yaml").replace("starter", "web")).unwrap();
    let stamp = |options: &[&str]| {
        let objects = rendered(options);
        of(&objects, "Deployment", NAME)["spec"]["template"]["metadata"]["annotations"]["foremesh.dev/settings"].clone()
    };
    let (written, policy) = (written.to_str().unwrap(), policy.to_str().unwrap());
    let stamps =
        [stamp(&[]), stamp(&["--settings", written]), stamp(&["--policies", policy]), stamp(&["--moves"])];
    assert_eq!(stamp(&[]), stamps[0]);
    for (at, one) in stamps.iter().enumerate() {
        assert!(stamps[at + 1..].iter().all(|other| other != one), "{stamps:?}");
    }
    let objects = rendered(&["--settings", written, "--moves"]);
    let settings = of(&objects, "ConfigMap", "foremesh-settings")["data"][settings::FILE].as_str().unwrap();
    for kept in ["interval: 10s", "clusterDomain: example.org", "service: foremesh-webhook"] {
        assert!(settings.contains(kept), "{kept} in {settings}");
    }
}

#[test]
fn settings_that_an_installed_planner_cannot_have_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("foremesh.yaml");
    for (text, says) in [
        ("listen: 0.0.0.0:80\n", "`listen` of the settings is"),
        ("platform: {hosts: hosts.yaml}\n", "the cluster that it is in; leave it out"),
        ("platform: {kubernetes: {kubeconfig: admin.yaml}}\n", "has its own account; leave it out"),
        ("platform: {kubernetes: {moves: {}}}\n", "give --moves"),
        ("platform: {kubernetes: {staging: {}}}\n", "give --trials"),
        ("horizont: 1h\n", "unknown field `horizont`"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = objects(&args(&["--settings", file.to_str().unwrap()])).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn only_the_mesh_pushes_and_only_the_named_use_the_api() {
    let objects = rendered(&["--api-from", "monitoring"]);
    let rules = &of(&objects, "AuthorizationPolicy", NAME)["spec"]["rules"];
    assert_eq!(rules[0]["from"][0]["source"]["principals"], json!(["*"]));
    assert_eq!(rules[0]["to"][0]["operation"]["paths"], json!(["/v1/summaries"]));
    assert_eq!(rules[2]["from"][0]["source"]["namespaces"], json!(["foremesh", "monitoring"]));
    for rule in rules.as_array().unwrap() {
        let to = rule["to"].as_array().unwrap();
        let open = rule.get("from").is_none();
        assert!(to.iter().all(|of| !open || of["operation"]["ports"] == json!(["8701"])), "{rule:#}");
    }
    let tls = &of(&objects, "PeerAuthentication", NAME)["spec"];
    assert_eq!(
        (&tls["mtls"]["mode"], &tls["portLevelMtls"]),
        (&json!("STRICT"), &json!({"8701": {"mode": "PERMISSIVE"}}))
    );
}

#[test]
fn what_is_tried_has_a_namespace_that_the_planner_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("foremesh.yaml");
    std::fs::write(&file, "platform: {kubernetes: {staging: {maxRate: 50}}}\n").unwrap();
    let file = file.to_str().unwrap();
    let options =
        ["--moves", "--trials", "--staging-namespace", "try", "--revision", "canary", "--settings", file];
    let objects = rendered(&options);
    let labels = &of(&objects, "Namespace", "try")["metadata"]["labels"];
    assert_eq!(
        (&labels["foremesh.dev/staging"], &labels["istio.io/rev"]),
        (&json!("true"), &json!("canary")),
        "{labels}"
    );
    let text = of(&objects, "ConfigMap", "foremesh-settings")["data"][settings::FILE].as_str().unwrap();
    for kept in ["maxRate: 50", "namespace: try", "copySecrets: false"] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    let secrets = rendered(&["--moves", "--trials", "--trials-with-secrets"]);
    let text = of(&secrets, "ConfigMap", "foremesh-settings")["data"][settings::FILE].as_str().unwrap();
    assert!(text.contains("copySecrets: true") && text.contains("namespace: foremesh-staging"), "{text}");
    // The same objects by themselves.
    let alone = staging("try", Some("canary"));
    assert!(alone.iter().all(|object| objects.contains(object)), "{alone:#?}");
    std::fs::write(
        folder.path().join("foremesh.yaml"),
        "platform: {kubernetes: {staging: {namespace: a}}}\n",
    )
    .unwrap();
    let error = format!("{:#}", objects_of(&["--moves", "--trials", "--settings", file]).unwrap_err());
    assert!(error.contains("--staging-namespace"), "{error}");
}

#[test]
fn definitions_come_before_all_that_may_use_them() {
    let objects = rendered(&[]);
    let is_definition = |object: &&Value| object["kind"] == "CustomResourceDefinition";
    assert_eq!(objects.iter().take_while(is_definition).count(), definitions().len());
    assert_eq!(rendered(&["--no-crds"]), objects[definitions().len()..]);
}
