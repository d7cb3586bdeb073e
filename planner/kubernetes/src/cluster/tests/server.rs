//! An API server, played.
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http_body_util::{StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame},
};
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tower::{BoxError, Service};

/// Clones are the same server.
#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<State>>);

struct State {
    streams_lists: bool,
    ends_lists: bool,
    silent: bool,
    forbidden: HashSet<String>,
    unknown: HashSet<String>,
    objects: HashMap<&'static str, Vec<Value>>,
    /// What the next watch of a path begins with.
    changes: HashMap<String, Vec<Value>>,
}

pub(super) fn node(name: &str, cpu: &str, address: Option<&str>) -> Value {
    let addresses: Vec<Value> =
        address.into_iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
    json!({
        "metadata": {"name": name, "uid": name, "resourceVersion": "3"}, "spec": {},
        "status": {
            "allocatable": {"cpu": cpu}, "addresses": addresses,
            "conditions": [{"type": "Ready", "status": "True"}]
        }
    })
}

impl Server {
    pub(super) fn new(streams_lists: bool) -> Self {
        let nodes = vec![node("n1", "4", Some("10.0.0.1")), node("n2", "2", None)];
        let deployment = json!({
            "metadata": {"name": "cart", "namespace": "shop", "uid": "d", "resourceVersion": "3"},
            "spec": {"replicas": 0}
        });
        let namespace = json!({"metadata": {
            "name": "shop", "uid": "ns", "resourceVersion": "3", "labels": {"foremesh.dev/managed": "true"}
        }});
        Self(Arc::new(Mutex::new(State {
            streams_lists,
            ends_lists: true,
            silent: false,
            forbidden: HashSet::new(),
            unknown: HashSet::new(),
            objects: HashMap::from([
                ("/api/v1/nodes", nodes),
                ("/apis/apps/v1/deployments", vec![deployment]),
                ("/api/v1/namespaces", vec![namespace]),
            ]),
            changes: HashMap::new(),
        })))
    }

    /// From now on it takes requests and does not answer.
    pub(super) fn silence(&self, silent: bool) {
        self.0.lock().unwrap().silent = silent;
    }

    pub(super) fn forbid(&self, path: &str) {
        self.0.lock().unwrap().forbidden.insert(path.to_owned());
    }

    /// It does not know this kind, or it does from now on.
    pub(super) fn define(&self, path: &str, known: bool) {
        let mut state = self.0.lock().unwrap();
        if known {
            state.unknown.remove(path)
        } else {
            state.unknown.insert(path.to_owned())
        };
    }

    pub(super) fn never_ends_lists(&self) {
        self.0.lock().unwrap().ends_lists = false;
    }

    pub(super) fn change(&self, path: &str, object: Value) {
        self.0.lock().unwrap().changes.entry(path.to_owned()).or_default().push(object);
    }

    fn answer(&self, path: &str, query: &str) -> Response<Answer> {
        let mut state = self.0.lock().unwrap();
        let plural = path.rsplit('/').next().unwrap_or_default();
        if state.forbidden.contains(path) {
            return refused(403, "Forbidden", &format!("{plural} is forbidden"));
        }
        if state.unknown.contains(path) {
            return refused(404, "NotFound", "the server could not find the requested resource");
        }
        if path.starts_with("/apis/metrics.k8s.io") {
            return refused(404, "NotFound", "there is no such API");
        }
        let objects = state.objects.get(path).cloned().unwrap_or_default();
        if !query.contains("watch=") {
            return whole(&json!({"metadata": {"resourceVersion": "5"}, "items": objects}));
        }
        // As long as it was asked for.
        let seconds = query.split('&').find_map(|part| part.strip_prefix("timeoutSeconds="));
        let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
        let event = |of: &str, object: Value| json!({"type": of, "object": object});
        if !query.contains("sendInitialEvents") {
            let changes = state.changes.remove(path).unwrap_or_default();
            let changes = changes.into_iter().map(|object| event("MODIFIED", object)).collect();
            return streamed(changes, seconds);
        }
        if !state.streams_lists {
            return refused(422, "Invalid", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden");
        }
        let mut events: Vec<Value> = objects.into_iter().map(|object| event("ADDED", object)).collect();
        if state.ends_lists {
            events.push(event(
                "BOOKMARK",
                json!({
                    "kind": "Bookmark", "apiVersion": "v1",
                    "metadata": {"resourceVersion": "5", "annotations": {"k8s.io/initial-events-end": "true"}}
                }),
            ));
        }
        streamed(events, seconds)
    }
}

type Answer = BoxBody<Bytes, BoxError>;

fn body(pieces: impl stream::Stream<Item = String> + Send + Sync + 'static) -> Answer {
    BoxBody::new(StreamBody::new(pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))))))
}

fn whole(answer: &Value) -> Response<Answer> {
    let text = answer.to_string();
    Response::new(body(stream::once(async move { text })))
}

fn refused(code: u16, reason: &str, message: &str) -> Response<Answer> {
    let mut response = whole(&json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code
    }));
    *response.status_mut() = code.try_into().unwrap();
    response
}

/// Events, and then silence until the watch ends as it was asked to.
fn streamed(events: Vec<Value>, seconds: u64) -> Response<Answer> {
    let events = stream::iter(events).map(|event| format!("{event}\n"));
    let end = stream::once(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        String::new()
    });
    Response::new(body(events.chain(end)))
}

impl Service<Request<Body>> for Server {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        async move {
            if server.0.lock().unwrap().silent {
                std::future::pending::<()>().await;
            }
            Ok(server.answer(request.uri().path(), request.uri().query().unwrap_or_default()))
        }
        .boxed()
    }
}
