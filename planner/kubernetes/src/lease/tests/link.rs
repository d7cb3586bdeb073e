//! The way to the API server of one candidate, which can break in several ways.
use crate::moving::played::Stored;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::Full;
use hyper::{Method, Request, Response, body::Bytes};
use kube::client::Body;
use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tower::{BoxError, Service};

/// What becomes of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// They arrive and are answered.
    Up,
    /// They do not arrive, and nothing is answered.
    Mute,
    /// They do not arrive, which is known at once.
    Refused,
    /// Writes arrive, but their answers do not come back.
    Unanswered,
}

/// Clones are the same link.
#[derive(Clone)]
pub(super) struct Link {
    server: Stored,
    way: Arc<Mutex<Way>>,
}

impl Link {
    pub(super) fn to(server: &Stored) -> Self {
        Self { server: server.clone(), way: Arc::new(Mutex::new(Way::Up)) }
    }

    pub(super) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    pub(super) fn goes(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}

impl Service<Request<Body>> for Link {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut server, way) = (self.server.clone(), *self.way.lock().unwrap());
        async move {
            match way {
                Way::Up => server.call(request).await,
                Way::Mute => std::future::pending().await,
                Way::Refused => Err("as the test wants: the connection was refused".into()),
                Way::Unanswered if *request.method() == Method::GET => server.call(request).await,
                Way::Unanswered => {
                    server.call(request).await?;
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }
}
