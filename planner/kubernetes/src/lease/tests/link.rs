//! The way to the API server of one candidate, which can break in several ways.
use crate::moving::played::Stored;
use http_body_util::Full;
use hyper::{Method, Request, Response, body::Bytes};
use kube::client::Body;
use std::sync::{Arc, Mutex};
use tower::{BoxError, service_fn};

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
        let link = self.clone();
        kube::Client::new(service_fn(move |request| link.clone().carried(request)), "default")
    }

    async fn carried(self, request: Request<Body>) -> Result<Response<Full<Bytes>>, BoxError> {
        let (server, way) = (self.server, *self.way.lock().unwrap());
        match way {
            Way::Up => server.answered(request).await,
            Way::Mute => std::future::pending().await,
            Way::Refused => Err("as the test wants: the connection was refused".into()),
            Way::Unanswered if *request.method() == Method::GET => server.answered(request).await,
            Way::Unanswered => {
                server.answered(request).await?;
                std::future::pending().await
            }
        }
    }

    pub(super) fn goes(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }
}
