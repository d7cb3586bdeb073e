//! A proxy before Prometheus that lets nobody in without a token: what an ingress does, and Prometheus itself does not.
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, net::TcpStream, task::JoinHandle};

/// The running proxy; dropping it ends it.
pub(crate) struct TokenGuard {
    address: SocketAddr,
    token: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl TokenGuard {
    /// Before the Prometheus on this port.
    pub(crate) async fn start(port: u16, token: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let token = Arc::new(Mutex::new(token.to_owned()));
        let router = Router::new().fallback(pass).with_state((port, Arc::clone(&token)));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, token, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Only this token is good from now on.
    pub(crate) fn renew(&self, token: &str) {
        token.clone_into(&mut self.token.lock().expect("nobody panics with it"));
    }
}

impl Drop for TokenGuard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State((port, token)): State<(u16, Arc<Mutex<String>>)>, request: Request) -> Response {
    let wanted = format!("Bearer {}", token.lock().expect("nobody panics with it"));
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_none_or(|given| given.as_bytes() != wanted.as_bytes()) {
        return (StatusCode::UNAUTHORIZED, "a token is needed").into_response();
    }
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await
    else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    tokio::spawn(connection);
    match sender.send_request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
