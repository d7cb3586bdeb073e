//! The running webhook, asked over TLS as the API server asks.
use super::*;
use crate::webhook::registration::PLACE_PATH;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicI64, Ordering},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);
const HOST: &str = "foremesh.foremesh-system.svc";

struct Running {
    server: Stored,
    moving: MovingList,
    address: SocketAddr,
    placement: Placement,
    /// What the clock shows, in milliseconds.
    time: Arc<AtomicI64>,
}

/// A cluster in which `shop/web` has two replicas, and a webhook beside it that is ready to serve.
async fn running() -> Running {
    let server = Stored::default();
    let pods = "/api/v1/namespaces/shop/pods";
    for (name, uid) in [("web-1", "rs"), ("web-2", "rs"), ("other", "elsewhere")] {
        let mut peer = pod();
        peer["metadata"]["name"] = json!(name);
        peer["metadata"]["ownerReferences"][0]["uid"] = json!(uid);
        server.store(&format!("{pods}/{name}"), peer);
    }
    let mut ending = pod();
    ending["metadata"]["name"] = json!("web-0");
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-29T12:00:00Z");
    server.store(&format!("{pods}/web-0"), ending);
    server.store(
        "/apis/apps/v1/namespaces/shop/replicasets/web-7d4",
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web-7d4", "namespace": "shop", "uid": "rs", "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true}
            ]}
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let time = Arc::new(AtomicI64::new(NOW.unix_ms()));
    let shown = Arc::clone(&time);
    let clock: Clock = Arc::new(move || Timestamp::from_unix_ms(shown.load(Ordering::Relaxed)));
    let placement = Placement::start(&server.client(), settings(), listener, clock).unwrap();
    placement.disarm().await.unwrap();
    let moving = MovingList::new(server.client(), "foremesh-system");
    Running { server, moving, address, placement, time }
}

impl Running {
    /// Connects as somebody who trusts these authorities (PEM).
    async fn connect(&self, authorities: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(authority.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.time_provider = Arc::new(TestTime(Arc::clone(&self.time)));
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn authorities(&self) -> String {
        let secret = self.server.object(SECRET).unwrap();
        let pem = BASE64_STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap()).unwrap();
        String::from_utf8(pem).unwrap()
    }

    /// Sends a body to a path; gives the code and the body of the answer.
    async fn post(&self, path: &str, body: String) -> (u16, String) {
        let asked = async {
            let stream = TokioIo::new(self.connect(&self.authorities()).await.unwrap());
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let request = hyper::Request::post(path).header("host", HOST);
            let answer =
                sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
            let code = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (code, String::from_utf8(body.to_vec()).unwrap())
        };
        timeout(DEADLINE, asked).await.unwrap()
    }

    async fn review(&self, object: Value) -> Value {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "resource": {"group": "", "version": "v1", "resource": "pods"},
                "operation": "CREATE", "namespace": "shop", "object": object
            }
        });
        let (code, body) = self.post(PLACE_PATH, review.to_string()).await;
        assert_eq!(code, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["allowed"], true);
        assert_eq!(answer["response"]["uid"], "u");
        answer["response"]["patch"].as_str().map_or(Value::Null, |patch| {
            serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap()
        })
    }
}

/// The clock of the webhook, for those who look at its certificate.
#[derive(Debug)]
struct TestTime(Arc<AtomicI64>);

impl TimeProvider for TestTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since = Duration::from_millis(self.0.load(Ordering::Relaxed).unsigned_abs());
        Some(UnixTime::since_unix_epoch(since))
    }
}

#[tokio::test]
async fn the_extra_replica_is_sent_and_others_are_not() {
    let running = running().await;
    assert_eq!(running.review(pod()).await, Value::Null, "nothing moves");
    running.moving.put(&moved("shop/web")).await.unwrap();
    let patch = running.review(pod()).await;
    assert_eq!(patch[0]["path"], "/metadata/labels/foremesh.dev~1location");
    assert_eq!(patch[0]["value"], "target");
    assert_eq!(patch.as_array().unwrap().len(), 3);

    running.server.asked();
    running.review(pod()).await;
    let asked = running.server.asked();
    assert!(!asked.iter().any(|asked| asked.contains("replicasets")), "it is known whose it is: {asked:?}");
    let writes: Vec<_> = asked.iter().filter(|asked| !asked.starts_with("GET")).collect();
    assert!(writes.is_empty(), "an answer has no side effects: {writes:?}");

    // Another replica set of the name, made since: it is not proven whose it is.
    let mut other = pod();
    other["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    assert_eq!(running.review(other).await, Value::Null);
    // One replica set's name proves nothing.
    let mut other = pod();
    other["metadata"]["ownerReferences"][0]["name"] = json!("web-api-7d4");
    other["metadata"]["ownerReferences"][0]["uid"] = json!("api");
    assert_eq!(running.review(other).await, Value::Null);
}

/// A pod that is ending, and one of another maker, make up for none of before.
#[tokio::test]
async fn only_pods_that_stay_are_counted() {
    let running = running().await;
    running.moving.put(&moved("shop/web")).await.unwrap();
    let path = "/api/v1/namespaces/shop/pods/web-2";
    let mut ending = running.server.object(path).unwrap();
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-29T12:00:00Z");
    running.server.store(path, ending);
    assert_eq!(running.review(pod()).await[0]["value"], "stay");
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_holds_up_no_pod() {
    let running = running().await;
    running.moving.put(&moved("shop/web")).await.unwrap();
    running.server.refuse(Some((500, "InternalError")));
    assert_eq!(running.review(pod()).await, Value::Null);
    running.server.refuse(None);
    running.server.silence();
    let began = tokio::time::Instant::now();
    assert_eq!(running.review(pod()).await, Value::Null);
    assert!(began.elapsed() < Duration::from_millis(1900), "the API server waits for two seconds");
}

#[tokio::test]
async fn what_is_no_review_is_refused_and_the_webhook_goes_on() {
    let running = running().await;
    assert_eq!(running.post(PLACE_PATH, "{".to_owned()).await.0, 400);
    assert_eq!(running.post(PLACE_PATH, "x".repeat(5 << 20)).await.0, 413);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "resource": {"group": "", "resource": "configmaps"}, "operation": "UPDATE",
            "namespace": "foremesh-system", "object": {"metadata": {}}
        }
    });
    assert_eq!(running.post("/elsewhere", review.to_string()).await.0, 400);
    let (code, answer) = running.post("/probe/17", review.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let patch = BASE64_STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    assert_eq!(code, 200);
    assert_eq!(
        patch,
        json!([{"op": "add", "path": "/metadata/annotations", "value": {"foremesh.dev/probed": "17"}}])
    );
    assert_eq!(running.review(pod()).await, Value::Null);
}

/// At no time is a certificate served that API servers have not been told to trust.
#[tokio::test]
async fn a_new_certificate_is_trusted_before_it_is_served() {
    let running = running().await;
    running.moving.put(&moved("shop/web")).await.unwrap();
    let look = |anew| running.placement.keeper.look(anew);
    assert!(matches!(look(true).await.unwrap(), Synced::Written { .. }));
    let old = running.authorities();

    let days = 61;
    running.time.fetch_add(days * 86_400_000, Ordering::Relaxed);
    assert!(matches!(look(false).await.unwrap(), Synced::Written { .. }));
    let both = running.authorities();
    let told = running.server.object(CONFIGURATION).unwrap();
    assert_eq!(told["webhooks"][0]["clientConfig"]["caBundle"], BASE64_STANDARD.encode(&both));
    assert!(
        running.connect(&old).await.is_ok(),
        "the old one is served until API servers have heard of the new one"
    );
    assert!(running.connect(&both).await.is_ok());

    assert_eq!(look(false).await.unwrap(), Synced::Same);
    assert!(running.connect(&old).await.is_err(), "the new one is served");
    assert!(running.connect(&both).await.is_ok());
    assert_eq!(running.review(pod()).await[0]["value"], "target");
}
