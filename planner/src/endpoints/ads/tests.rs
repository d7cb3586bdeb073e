//! The server over a real gRPC connection, with what an Envoy says played by hand.
use super::*;
use crate::endpoints::Endpoint;
use envoy_types::pb::{
    envoy::{
        config::{core::v3::Node, endpoint::v3::ClusterLoadAssignment},
        service::{
            discovery::v3::{
                DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse,
                aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
            },
            endpoint::v3::endpoint_discovery_service_client::EndpointDiscoveryServiceClient,
        },
    },
    google::rpc,
};
use foremesh_core::ids::ServiceId;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use prost::{Message, Name};
use std::collections::BTreeMap;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Channel};

/// Longest wait for what must come.
const SOON: Duration = Duration::from_secs(20);
/// How long it is looked whether something comes that must not.
const QUIET: Duration = Duration::from_millis(200);

struct Fixture {
    directory: TempDir,
    files: EndpointFiles,
    ads: Ads,
    address: String,
}

impl Fixture {
    async fn new() -> Self {
        Self::over(TempDir::new().unwrap()).await
    }

    /// A planner that was just started over the files of a directory.
    async fn over(directory: TempDir) -> Self {
        let files = EndpointFiles::open(directory.path());
        let listener = AdsSettings { listen: "127.0.0.1:0".parse().unwrap() }.bind().await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ads = Ads::start(listener, files.clone()).await;
        Self { directory, files, ads, address }
    }

    async fn put(&self, service: &str, weight: u32) {
        let endpoint = Endpoint { weight, ..Endpoint::default() };
        let endpoints = BTreeMap::from([("10.0.0.1:80".parse().unwrap(), endpoint)]);
        self.files.replace(&ServiceId::from(service), &cluster(service), endpoints).await.unwrap();
    }

    async fn proxy(&self) -> Proxy {
        let (requests, sent) = unbounded();
        let mut client =
            AggregatedDiscoveryServiceClient::<Channel>::connect(self.address.clone()).await.unwrap();
        let answers = client.stream_aggregated_resources(sent).await.unwrap().into_inner();
        Proxy { requests, answers }
    }
}

fn cluster(service: &str) -> String {
    format!("outbound|80||{service}")
}

/// A stream of the state of the world.
struct Proxy {
    requests: UnboundedSender<DiscoveryRequest>,
    answers: Streaming<DiscoveryResponse>,
}

fn asking(services: &[&str], nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest {
        node: Some(Node { id: "edge-1".to_owned(), ..Node::default() }),
        resource_names: services.iter().map(|service| cluster(service)).collect(),
        type_url: ClusterLoadAssignment::type_url(),
        response_nonce: nonce.to_owned(),
        ..DiscoveryRequest::default()
    }
}

fn refusing(services: &[&str], nonce: &str) -> DiscoveryRequest {
    let error = rpc::Status { message: "malformed".to_owned(), ..rpc::Status::default() };
    DiscoveryRequest { error_detail: Some(error), ..asking(services, nonce) }
}

fn weight(bytes: &[u8]) -> (String, u32) {
    let assignment = ClusterLoadAssignment::decode(bytes).unwrap();
    let endpoint = &assignment.endpoints[0].lb_endpoints[0];
    (assignment.cluster_name, endpoint.load_balancing_weight.as_ref().unwrap().value)
}

impl Proxy {
    fn say(&self, request: DiscoveryRequest) {
        self.requests.unbounded_send(request).unwrap();
    }

    /// The next response: its nonce and the weight of each service in it.
    async fn next(&mut self) -> (String, Vec<(String, u32)>) {
        let response = timeout(SOON, self.answers.message()).await.expect("a response comes");
        let response = response.unwrap().expect("the stream is open");
        assert_eq!(response.type_url, ClusterLoadAssignment::type_url());
        assert!(!response.version_info.is_empty());
        let resources = response.resources.iter();
        (response.nonce.clone(), resources.map(|resource| weight(&resource.value)).collect())
    }

    async fn is_quiet(&mut self) {
        let came = timeout(QUIET, self.answers.message()).await;
        assert!(came.is_err(), "{came:?}");
    }

    /// Why the stream ends.
    async fn end(&mut self) -> Option<Status> {
        match timeout(SOON, self.answers.message()).await.expect("the stream ends") {
            Ok(None) => None,
            Ok(Some(response)) => panic!("a response comes: {response:?}"),
            Err(status) => Some(status),
        }
    }
}

fn has(services: &[(&str, u32)]) -> Vec<(String, u32)> {
    services.iter().map(|(service, weight)| (cluster(service), *weight)).collect()
}

#[tokio::test]
async fn a_proxy_gets_what_it_names_and_then_what_changes() {
    let fixture = Fixture::new().await;
    for service in ["cart", "shop", "other"] {
        fixture.put(service, 100).await;
    }
    let mut proxy = fixture.proxy().await;
    proxy.is_quiet().await;
    proxy.say(asking(&["cart", "shop"], ""));
    let (nonce, services) = proxy.next().await;
    assert_eq!(services, has(&[("cart", 100), ("shop", 100)]));
    fixture.put("cart", 75).await;
    fixture.put("cart", 50).await;
    proxy.is_quiet().await;
    proxy.say(asking(&["cart", "shop"], &nonce));
    let (nonce, services) = proxy.next().await;
    assert_eq!(services, has(&[("cart", 50)]), "only what changed, and only as it is now");
    proxy.say(asking(&["cart", "shop"], &nonce));
    fixture.put("other", 1).await;
    proxy.is_quiet().await;
    fixture.put("shop", 25).await;
    let (nonce, services) = proxy.next().await;
    assert_eq!(services, has(&[("shop", 25)]));
    proxy.say(asking(&["cart", "shop", "other"], &nonce));
    assert_eq!(proxy.next().await.1, has(&[("other", 1)]), "a new name is sent at once");
    let metrics = fixture.ads.metrics();
    assert_eq!((metrics.streams.get(), metrics.pushes.get(), metrics.nacks.get()), (1, 4, 0));
}

#[tokio::test]
async fn what_a_proxy_refuses_is_not_sent_again_until_it_changes() {
    let fixture = Fixture::new().await;
    fixture.put("cart", 100).await;
    let mut proxy = fixture.proxy().await;
    proxy.say(asking(&["cart"], ""));
    let (nonce, _) = proxy.next().await;
    for _ in 0..3 {
        proxy.say(refusing(&["cart"], &nonce));
    }
    proxy.is_quiet().await;
    assert_eq!(fixture.ads.metrics().nacks.get(), 1, "the same refusal is one");
    fixture.put("cart", 50).await;
    let (nonce, services) = proxy.next().await;
    assert_eq!(services, has(&[("cart", 50)]));
    for stale in ["", "0", "x", "99"] {
        proxy.say(refusing(&["cart"], stale));
    }
    fixture.put("cart", 40).await;
    proxy.is_quiet().await;
    assert_eq!(fixture.ads.metrics().nacks.get(), 1, "an answer to nothing is none");
    proxy.say(asking(&["cart"], &nonce));
    let (nonce, services) = proxy.next().await;
    assert_eq!(services, has(&[("cart", 40)]));
    proxy.say(asking(&["cart"], &nonce));
    proxy.say(asking(&["cart"], &nonce));
    assert_eq!(proxy.next().await.1, has(&[("cart", 40)]), "a proxy that asks again gets it again");
}

#[tokio::test]
async fn a_service_that_is_not_known_is_waited_for() {
    let fixture = Fixture::new().await;
    let mut proxy = fixture.proxy().await;
    proxy.say(asking(&["cart"], ""));
    proxy.is_quiet().await;
    fixture.put("cart", 100).await;
    assert_eq!(proxy.next().await.1, has(&[("cart", 100)]));
}

#[tokio::test]
async fn a_planner_that_was_restarted_serves_what_was_in_force() {
    let Fixture { directory, files, ads, .. } = {
        let fixture = Fixture::new().await;
        fixture.put("cart", 30).await;
        fixture.put("shop", 70).await;
        fixture
    };
    ads.stop().await;
    drop(files);
    std::fs::write(directory.path().join("broken.pb"), "resources: []").unwrap();
    std::fs::write(directory.path().join("empty.pb"), "").unwrap();
    std::fs::write(directory.path().join(".cart.pb.tmp"), "half").unwrap();
    let fixture = Fixture::over(directory).await;
    let mut proxy = fixture.proxy().await;
    proxy.say(asking(&["broken", "cart", "empty", "shop"], ""));
    let (nonce, services) = proxy.next().await;
    assert_eq!(services, has(&[("cart", 30), ("shop", 70)]));
    proxy.say(asking(&["broken", "cart", "empty", "shop"], &nonce));
    for gone in ["cart.pb", "shop.pb"] {
        std::fs::remove_file(fixture.directory.path().join(gone)).unwrap();
    }
    assert_eq!(fixture.files.read(&ServiceId::from("cart")).await.unwrap(), None);
    proxy.is_quiet().await;
    let mut late = fixture.proxy().await;
    late.say(asking(&["cart"], ""));
    assert_eq!(late.next().await.1, has(&[("cart", 30)]), "a file that is gone takes nothing away");
}

#[tokio::test]
async fn a_file_that_was_changed_by_hand_is_served_once_it_is_read() {
    let fixture = Fixture::new().await;
    fixture.put("cart", 100).await;
    let mut proxy = fixture.proxy().await;
    proxy.say(asking(&["cart"], ""));
    let (nonce, _) = proxy.next().await;
    proxy.say(asking(&["cart"], &nonce));
    let cart = ServiceId::from("cart");
    let mut said = fixture.files.read(&cart).await.unwrap().unwrap();
    said.endpoints.values_mut().for_each(|endpoint| endpoint.weight = 7);
    std::fs::write(fixture.files.path(&cart).unwrap(), crate::endpoints::encode(&said)).unwrap();
    fixture.files.read(&cart).await.unwrap();
    assert_eq!(proxy.next().await.1, has(&[("cart", 7)]));
}

#[tokio::test]
async fn endpoints_come_as_changes_too() {
    let fixture = Fixture::new().await;
    fixture.put("cart", 100).await;
    let (requests, sent) = unbounded();
    let mut client =
        AggregatedDiscoveryServiceClient::<Channel>::connect(fixture.address.clone()).await.unwrap();
    let mut answers = client.delta_aggregated_resources(sent).await.unwrap().into_inner();
    let mut next = async || {
        let response = timeout(SOON, answers.message()).await.expect("a response comes").unwrap().unwrap();
        assert_eq!(response.removed_resources, Vec::<String>::new());
        let resources = response.resources.iter().map(|resource| {
            let said = weight(&resource.resource.as_ref().unwrap().value);
            assert_eq!(resource.name, said.0);
            said
        });
        (response.nonce.clone(), resources.collect::<Vec<_>>())
    };
    let ask = |nonce: &str, more: &[&str], fewer: &[&str]| {
        let names = |of: &[&str]| of.iter().map(|service| cluster(service)).collect();
        let request = DeltaDiscoveryRequest {
            type_url: ClusterLoadAssignment::type_url(),
            resource_names_subscribe: names(more),
            resource_names_unsubscribe: names(fewer),
            response_nonce: nonce.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.unbounded_send(request).unwrap();
    };
    ask("", &["cart", "later"], &[]);
    let (nonce, services) = next().await;
    assert_eq!(services, has(&[("cart", 100)]));
    ask(&nonce, &[], &[]);
    fixture.put("later", 10).await;
    let (nonce, services) = next().await;
    assert_eq!(services, has(&[("later", 10)]));
    ask(&nonce, &[], &["cart"]);
    ask("", &["shop"], &[]);
    fixture.put("cart", 1).await;
    fixture.put("shop", 2).await;
    assert_eq!(next().await.1, has(&[("shop", 2)]));
}

#[tokio::test]
async fn a_stream_of_endpoints_alone_need_not_say_the_type() {
    let fixture = Fixture::new().await;
    fixture.put("cart", 100).await;
    let mut client =
        EndpointDiscoveryServiceClient::<Channel>::connect(fixture.address.clone()).await.unwrap();
    let (requests, sent) = unbounded();
    let answers = client.stream_endpoints(sent).await.unwrap().into_inner();
    let mut proxy = Proxy { requests, answers };
    proxy.say(DiscoveryRequest { type_url: String::new(), ..asking(&["cart"], "") });
    assert_eq!(proxy.next().await.1, has(&[("cart", 100)]));
    let fetched = client.fetch_endpoints(asking(&["cart"], "")).await.unwrap_err();
    assert_eq!(fetched.code(), Code::Unimplemented);
}

#[tokio::test]
async fn what_is_not_served_is_not_answered_and_too_much_ends_the_stream() {
    let fixture = Fixture::new().await;
    fixture.put("cart", 100).await;
    let mut proxy = fixture.proxy().await;
    let clusters = "type.googleapis.com/envoy.config.cluster.v3.Cluster".to_owned();
    proxy.say(DiscoveryRequest { type_url: clusters, ..asking(&["cart"], "") });
    proxy.is_quiet().await;
    proxy.say(asking(&["cart"], ""));
    assert_eq!(proxy.next().await.1, has(&[("cart", 100)]), "on the same stream");
    let names = (0..=session::MAX_NAMES).map(|n| n.to_string()).collect();
    proxy.say(DiscoveryRequest { resource_names: names, ..asking(&[], "") });
    let status = proxy.end().await.unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "more than 10000 clusters on one stream; use several streams");
    let mut proxy = fixture.proxy().await;
    let names = vec!["x".repeat(MESSAGE_BYTES)];
    proxy.say(DiscoveryRequest { resource_names: names, ..asking(&[], "") });
    proxy.end().await;
    let mut other = fixture.proxy().await;
    other.say(asking(&["cart"], ""));
    assert_eq!(other.next().await.1, has(&[("cart", 100)]), "others are not harmed");
}

#[tokio::test]
async fn a_planner_that_ends_ends_its_streams() {
    let fixture = Fixture::new().await;
    let mut proxy = fixture.proxy().await;
    proxy.say(asking(&["cart"], ""));
    proxy.is_quiet().await;
    let metrics = fixture.ads.metrics().clone();
    assert_eq!(metrics.streams.get(), 1);
    timeout(SOON, fixture.ads.stop()).await.expect("it ends while a stream is open");
    assert!(proxy.end().await.is_none(), "without an error");
    assert_eq!(metrics.streams.get(), 0);
}
