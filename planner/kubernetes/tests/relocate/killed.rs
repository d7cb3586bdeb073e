//! A client whose planner dies in the middle: from some write on nothing reaches the API server any more.
use futures::{FutureExt, future::BoxFuture};
use hyper::{Method, Request};
use kube::{Client, Config, client::Body, client::ClientBuilder};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::Notify;
use tower::{Layer, Service};

/// How many writes are let through, and who is told when there is one more.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    left: Arc<AtomicUsize>,
    dead: Arc<Notify>,
}

impl Kill {
    /// Dies at the write after so many.
    pub(crate) fn after(writes: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(writes)), dead: Arc::default() }
    }

    /// Returns when it is dead.
    pub(crate) async fn dead(&self) {
        self.dead.notified().await;
    }

    /// A client of the cluster that KUBECONFIG names, which dies.
    pub(crate) async fn client(&self) -> Client {
        let config = Config::infer().await.unwrap();
        ClientBuilder::try_from(config).unwrap().with_layer(self).build()
    }
}

impl<S> Layer<S> for Kill {
    type Service = Killed<S>;

    fn layer(&self, inner: S) -> Killed<S> {
        Killed { inner, kill: self.clone() }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Killed<S> {
    inner: S,
    kill: Kill,
}

impl<S> Service<Request<Body>> for Killed<S>
where
    S: Service<Request<Body>>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if *request.method() == Method::GET {
            return self.inner.call(request).boxed();
        }
        let take = |left: usize| left.checked_sub(1);
        if self.kill.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            return self.inner.call(request).boxed();
        }
        self.kill.dead.notify_one();
        std::future::pending().boxed()
    }
}
