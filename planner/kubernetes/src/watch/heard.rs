//! When the API server was last heard of each watch.
//!
//! A watch of a quiet kind has no events for hours, and a watcher says nothing of the bookmarks that tell that it is
//! still alive. So this listens below it: to each answer of the server, and to each piece of a body.
use crate::Clock;
use foremesh_core::time::Timestamp;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, combinators::MapFrame};
use hyper::{
    Request, Response,
    body::{Body as HttpBody, Bytes, Frame},
};
use kube::client::Body;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tower::{BoxError, Layer, Service};

/// Time in which the server must begin to answer. Without it a request on a connection that died in silence waits for
/// ever.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// When each path was last heard of.
#[derive(Clone)]
pub(crate) struct Heard {
    clock: Clock,
    at: Arc<Mutex<HashMap<String, Timestamp>>>,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Heard {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, at: Arc::default() }
    }

    /// When a path was last heard of.
    pub(crate) fn last(&self, path: &str) -> Option<Timestamp> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }

    fn note(&self, path: &str) {
        let now = (self.clock)();
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        match at.get_mut(path) {
            Some(last) => *last = now,
            None => {
                at.insert(path.to_owned(), now);
            }
        }
    }
}

impl<S> Layer<S> for Heard {
    type Service = Listening<S>;

    fn layer(&self, inner: S) -> Listening<S> {
        Listening { inner, heard: self.clone() }
    }
}

/// A client's service, listened to.
#[derive(Debug)]
pub(crate) struct Listening<S> {
    inner: S,
    heard: Heard,
}

type Note = Box<dyn FnMut(Frame<Bytes>) -> Frame<Bytes> + Send>;

impl<S, B> Service<Request<Body>> for Listening<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    type Response = Response<MapFrame<B, Note>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let answer = self.inner.call(request);
        let heard = self.heard.clone();
        async move {
            let Ok(answer) = tokio::time::timeout(ANSWER_DEADLINE, answer).await else {
                return Err(
                    format!("the API server did not begin to answer within {ANSWER_DEADLINE:?}").into()
                );
            };
            let answer = answer.map_err(Into::into)?;
            let note: Note = if answer.status().is_success() {
                heard.note(&path);
                Box::new(move |frame| {
                    heard.note(&path);
                    frame
                })
            } else {
                Box::new(|frame| frame)
            };
            Ok(answer.map(|body| body.map_frame(note)))
        }
        .boxed()
    }
}
