//! Against a real API server with the definitions in it, by KUBECONFIG and `kubectl`:
//! `foremesh crds | kubectl apply -f -`, then `cargo test -p foremesh --lib documents -- --ignored`.
use super::*;
use crate::calendar::{CalendarMetrics, FetchLimits};
use foremesh_core::policy::Mode;
use std::{path::Path, process::Stdio};
use tokio::{io::AsyncWriteExt as _, process::Command};

const NAMESPACE: &str = "crds-documents";

async fn kubectl(args: &[&str], input: &str) -> String {
    let mut child = Command::new("kubectl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is on PATH");
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {args:?}: {error}");
    out.into_owned()
}

async fn until<T: PartialEq + std::fmt::Debug>(what: &str, want: T, mut seen: impl AsyncFnMut() -> T) {
    let mut last = seen().await;
    for _ in 0..150 {
        if last == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = seen().await;
    }
    panic!("{what}: wanted {want:?} within 15 s, but it is {last:?}");
}

fn policy(mode: &str, zone: &str) -> String {
    format!(
        "
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {{name: shop, namespace: {NAMESPACE}}}
spec:
  selector: {{services: ['*']}}
  mode: {mode}
  rules: [{{name: slow, predictedLatency: {{quantile: 0.99, above: 250ms}}}}]
  freeze: [{{name: night, between: '22:00-06:00', timeZone: {zone}}}]
"
    )
}

fn calendar(zone: &str) -> String {
    format!(
        "
apiVersion: foremesh.dev/v1alpha1
kind: EventCalendar
metadata: {{name: sales, namespace: {NAMESPACE}}}
spec:
  zone: {zone}
  events: [{{name: sale, when: {{cron: '0 18 * * fri'}}, duration: 2h}}]
"
    )
}

/// From `kubectl apply` to what the loop is told and what the status says.
#[tokio::test]
#[ignore = "needs an API server with the definitions, by KUBECONFIG"]
async fn documents_are_in_force_and_answered_as_soon_as_they_are_applied() {
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}");
    kubectl(&["apply", "-f", "-"], &namespace).await;
    let settings = KubernetesSettings::default();
    let documents = Documents::connect(&settings, Span::from_secs(3600), Clock::System)
        .await
        .unwrap()
        .expect("it is the default");
    let policies = Arc::new(documents.policies(Policies::of_files(Vec::new())));
    let (limits, metrics) = (FetchLimits::default(), CalendarMetrics::default());
    let calendars = Calendars::open(&[], Path::new(":memory:"), Clock::System, limits, metrics).unwrap();
    let calendars = Arc::new(calendars);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(documents.follow(Arc::clone(&policies), Arc::clone(&calendars), stopped));

    let id = format!("{NAMESPACE}/shop");
    let modes = || {
        let all = policies.now();
        all.into_iter()
            .filter(|policy| policy.id.as_str() == id)
            .map(|policy| policy.mode)
            .collect::<Vec<_>>()
    };
    let accepted = async |object: &str| {
        let path = "jsonpath={.metadata.generation} {.status.observedGeneration} {.status.conditions[0].status} \
                    {.status.conditions[0].reason}";
        kubectl(&["-n", NAMESPACE, "get", object, "-o", path], "").await
    };
    kubectl(&["apply", "-f", "-"], &policy("recommend", "Europe/Berlin")).await;
    until("in force", vec![Mode::Recommend], async || modes()).await;
    until("answered", "1 1 True InForce".to_owned(), async || accepted("relpol/shop").await).await;

    kubectl(&["apply", "-f", "-"], &policy("recommend", "Mars/Olympus")).await;
    until("not accepted, so its services are only observed", vec![Mode::Observe], async || modes()).await;
    until("answered", "2 2 False Invalid".to_owned(), async || accepted("relpol/shop").await).await;
    kubectl(&["apply", "-f", "-"], &policy("approve", "UTC")).await;
    until("in force", vec![Mode::Approve], async || modes()).await;
    until("answered", "3 3 True InForce".to_owned(), async || accepted("relpol/shop").await).await;
    kubectl(&["-n", NAMESPACE, "delete", "relpol", "shop"], "").await;
    until("gone", vec![], async || modes()).await;

    let events = || {
        let now = Clock::System.now();
        let found = calendars.current().all(now, now.plus_ms(7 * 86_400_000));
        found.into_iter().map(|found| found.id).collect::<Vec<_>>()
    };
    let sale = vec![format!("{NAMESPACE}/sales:sale")];
    kubectl(&["apply", "-f", "-"], &calendar("Europe/Berlin")).await;
    until("takes place", sale.clone(), async || events()).await;
    until("answered", "1 1 True InForce".to_owned(), async || accepted("evcal/sales").await).await;
    kubectl(&["apply", "-f", "-"], &calendar("Mars/Olympus")).await;
    until("answered", "2 2 False Invalid".to_owned(), async || accepted("evcal/sales").await).await;
    assert_eq!(events(), sale, "what it said before is in force");
    kubectl(&["-n", NAMESPACE, "delete", "evcal", "sales"], "").await;
    until("gone", vec![], async || events()).await;

    stop.send(true).unwrap();
    following.await.unwrap();
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"], "").await;
}
