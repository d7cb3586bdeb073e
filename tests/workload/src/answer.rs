//! One request: its CPU time, the calls to other services, the distance of its caller, and the faults.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use foremesh_demo::Demand;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::burn::burn;
use crate::distance::{Distance, between};
use crate::failure::chain;
use crate::faults::Switches;

/// Header with the zone of the caller.
const ZONE_HEADER: &str = "x-workload-zone";
/// Headers that a request hands on, so that what it causes can be traced to it.
const HANDED_ON: [&str; 2] = ["x-request-id", "traceparent"];

/// What the service is and does.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) node: String,
    pub(crate) zone: String,
    pub(crate) demand: Demand,
    pub(crate) distances: Vec<Distance>,
    pub(crate) calls: Vec<Uri>,
    pub(crate) call_timeout: Duration,
    pub(crate) client: Client<HttpConnector, Empty<Bytes>>,
    pub(crate) random: Mutex<StdRng>,
    pub(crate) switches: Arc<Switches>,
}

/// A request on its way; counts itself out also when its caller left.
struct InFlight<'a>(&'a Switches);

impl<'a> InFlight<'a> {
    fn new(switches: &'a Switches) -> Self {
        switches.counts.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(switches)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.counts.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Answers a request to any path.
pub(crate) async fn answer(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let _in_flight = InFlight::new(&service.switches);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let faults = *service.switches.faults.borrow();
    let (demand, fails) = {
        let random = &mut *service.random.lock().unwrap_or_else(PoisonError::into_inner);
        (service.demand.draw(random), random.random::<f64>() < faults.error_share)
    };
    if demand > 0.0 {
        // It fails only when the runtime ends, and then nobody waits for the answer.
        drop(tokio::task::spawn_blocking(move || burn(Duration::from_secs_f64(demand))).await);
    }
    let mut status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    let mut called = Vec::new();
    for url in &service.calls {
        match service.call(url, &headers).await {
            Ok(answer) => {
                if !answer.is_success() {
                    status = StatusCode::BAD_GATEWAY;
                }
                called.push(serde_json::json!({"url": url.to_string(), "status": answer.as_u16()}));
            }
            Err(error) => {
                status = StatusCode::BAD_GATEWAY;
                called.push(serde_json::json!({"url": url.to_string(), "error": error}));
            }
        }
    }
    let delay = between(&service.distances, &service.zone, text(ZONE_HEADER))
        + Duration::from_millis(faults.extra_ms);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let counter =
        if status.is_success() { &service.switches.counts.served } else { &service.switches.counts.failed };
    counter.fetch_add(1, Ordering::AcqRel);
    let body = serde_json::json!({
        "service": service.name,
        "instance": service.instance,
        "version": service.version,
        "node": service.node,
        "zone": service.zone,
        // What the sidecar says of the caller's certificate; empty without mutual TLS.
        "caller": text("x-forwarded-client-cert"),
        "calls": called,
    });
    (status, Json(body)).into_response()
}

impl Service {
    async fn call(&self, url: &Uri, headers: &HeaderMap) -> Result<StatusCode, String> {
        let mut request = Request::get(url.clone()).header(ZONE_HEADER, &self.zone);
        for name in HANDED_ON {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Empty::new()).map_err(|error| chain(&error))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| chain(&error))?;
            let status = answer.status();
            answer.into_body().collect().await.map_err(|error| chain(&error))?;
            Ok(status)
        };
        tokio::time::timeout(self.call_timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.call_timeout)))
    }
}
