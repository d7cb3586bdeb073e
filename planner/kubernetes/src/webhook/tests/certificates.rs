//! Made once for all planners, trusted, and replaced in time.
use super::*;
use crate::webhook::identity::Identity;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

const HOST: &str = "foremesh.foremesh-system.svc";
const DAY_MS: i64 = 86_400_000;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// As the API server sees it.
fn is_trusted(served: &Identity, trusted: &Identity, host: &str, at: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(trusted.authorities().as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let chain = served.certified(&provider()).unwrap().cert;
    let at = UnixTime::since_unix_epoch(Duration::from_millis(at.unix_ms().unsigned_abs()));
    let name = ServerName::try_from(host.to_owned()).unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).is_ok()
}

#[test]
fn a_certificate_is_for_its_hosts_and_its_time() {
    let identity = Identity::issue(&hosts(&[HOST, "172.30.0.10"]), NOW, None).unwrap();
    for (host, days, trusted) in [
        (HOST, 0, true),
        ("172.30.0.10", 0, true),
        ("172.30.0.11", 0, false),
        ("other.foremesh-system.svc", 0, false),
        (HOST, 89, true),
        (HOST, 91, false),
        (HOST, -1, false),
    ] {
        assert_eq!(
            is_trusted(&identity, &identity, host, NOW.plus_ms(days * DAY_MS)),
            trusted,
            "{host} {days}"
        );
    }
    let a_minute_behind = NOW.plus_ms(-60_000);
    assert!(is_trusted(&identity, &identity, HOST, a_minute_behind));
    assert!(Identity::issue(&hosts(&["not a host\u{fc}"]), NOW, None).is_err());
}

#[tokio::test]
async fn it_is_replaced_before_it_ends_and_the_one_before_is_trusted_beside_it() {
    let server = Stored::default();
    let shared = SharedIdentity::new(server.client(), "foremesh-system", provider());
    let hosts = hosts(&[HOST]);
    let first = shared.current(&hosts, NOW).await.unwrap();
    for days in [0, 1, 59] {
        assert_eq!(shared.current(&hosts, NOW.plus_ms(days * DAY_MS)).await.unwrap(), first, "{days}");
    }
    let later = NOW.plus_ms(61 * DAY_MS);
    let second = shared.current(&hosts, later).await.unwrap();
    assert_ne!(second, first);
    // Planners that still serve the first one are trusted, and those that serve the second one already.
    assert!(is_trusted(&first, &second, HOST, later) && is_trusted(&second, &second, HOST, later));
    assert!(!is_trusted(&second, &first, HOST, later));
    // Long after, the first authority has ended and is forgotten.
    let third = shared.current(&hosts, later.plus_ms(61 * DAY_MS)).await.unwrap();
    assert_eq!(third.facts.trusted.len(), 2);
    assert!(!third.authorities().contains(&first.authorities()));
}

#[tokio::test]
async fn planners_share_the_certificate_of_the_first_one() {
    let server = Stored::default();
    let planner = || SharedIdentity::new(server.client(), "foremesh-system", provider());
    let (one, other) = (planner(), planner());
    let here = hosts(&[HOST]);
    let (first, second) = tokio::join!(one.current(&here, NOW), other.current(&here, NOW));
    assert_eq!(first.unwrap(), second.unwrap());
    let stored = server.object(SECRET).unwrap();
    assert_eq!(stored["type"], "kubernetes.io/tls");
    // Both come to an end at the same time, and one of them is first again.
    let later = NOW.plus_ms(61 * DAY_MS);
    let (first, second) = tokio::join!(one.current(&here, later), other.current(&here, later));
    assert_eq!(first.unwrap(), second.unwrap());
}

#[tokio::test]
async fn planners_with_different_addresses_come_to_an_agreement() {
    let server = Stored::default();
    let shared = SharedIdentity::new(server.client(), "foremesh-system", provider());
    let (here, there) = (hosts(&[HOST]), hosts(&["172.30.0.10"]));
    shared.current(&here, NOW).await.unwrap();
    let both = shared.current(&there, NOW).await.unwrap();
    assert!(is_trusted(&both, &both, HOST, NOW) && is_trusted(&both, &both, "172.30.0.10", NOW));
    assert_eq!(shared.current(&here, NOW).await.unwrap(), both);
}

#[tokio::test]
async fn what_cannot_be_used_is_replaced() {
    let server = Stored::default();
    let shared = SharedIdentity::new(server.client(), "foremesh-system", provider());
    let hosts = hosts(&[HOST]);
    let first = shared.current(&hosts, NOW).await.unwrap();
    let good = server.object(SECRET).unwrap();
    let other = Identity::issue(&hosts, NOW, None).unwrap();
    for (name, value) in [
        ("tls.crt", json!("bm8=")),
        ("tls.key", json!(base64(&other.key))),
        ("facts.json", json!("bm8=")),
        ("tls.key", json!(null)),
    ] {
        let mut broken = good.clone();
        if value.is_null() {
            broken["data"].as_object_mut().unwrap().remove(name);
        } else {
            broken["data"][name] = value;
        }
        server.store(SECRET, broken);
        let new = shared.current(&hosts, NOW).await.unwrap();
        assert_ne!(new, first, "{name}");
        assert_eq!(shared.current(&hosts, NOW).await.unwrap(), new, "{name}");
    }
    // Made by whoever installed the planner, so that it needs no right to create Secrets.
    server.store(SECRET, json!({"metadata": {"name": "foremesh-webhook"}}));
    let new = shared.current(&hosts, NOW).await.unwrap();
    assert_eq!(shared.current(&hosts, NOW).await.unwrap(), new);
    assert!(!format!("{new:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let server = Stored::default();
    let shared = SharedIdentity::new(server.client(), "foremesh-system", provider());
    server.refuse(Some((403, "Forbidden")));
    let error = shared.current(&hosts(&[HOST]), NOW).await.unwrap_err();
    assert_eq!(error.object, "Secret foremesh-system/foremesh-webhook");
    assert_eq!(error.remedy, "let the planner's account get secrets in namespace foremesh-system");
}

fn base64(text: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(text)
}
