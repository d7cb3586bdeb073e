//! HTTPS for the API server.
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// A review has the object in it, which cannot be larger in the API server's store, and what it was before.
const MOST_BYTES: usize = 4 << 20;
/// API servers keep theirs and send all requests over them.
const MOST_CONNECTIONS: usize = 256;
/// From the first byte to an encrypted connection.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// The headers of a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Answers the body of a POST to a path; `Err` is what is wrong with it.
pub(super) trait Answers: Send + Sync + 'static {
    /// The answer, or what is wrong with the request.
    fn answer(&self, path: String, body: Bytes) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// The certificate that is served, which can be replaced at any time.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl Served {
    /// From the next connection on.
    pub(super) fn replace(&self, with: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(with));
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What connections are served with.
pub(super) fn config(provider: Arc<CryptoProvider>, served: Served) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(served));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, config: ServerConfig, answers: Arc<dyn Answers>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (acceptor, answers) = (acceptor.clone(), Arc::clone(&answers));
                connections.spawn(async move {
                    connection(stream, acceptor, answers).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Too many open files, perhaps: again, but not at once.
                tracing::warn!(%error, "a connection to the placement webhook could not be accepted");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, answers: Arc<dyn Answers>) {
    // An answer is one small packet that somebody waits for.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection to the placement webhook did not come about");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(respond(request, &*answers).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the placement webhook broke");
    }
}

async fn respond(request: Request<Incoming>, answers: &dyn Answers) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if request.method() != hyper::Method::POST {
        return refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "only AdmissionReviews are answered, by POST".to_owned(),
        );
    }
    let body = match Limited::new(request.into_body(), MOST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refused(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    };
    match answers.answer(path, body).await {
        Ok(answer) => {
            let mut response = Response::new(Full::from(answer));
            let json = hyper::header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
            response
        }
        Err(problem) => refused(StatusCode::BAD_REQUEST, problem),
    }
}

fn refused(code: StatusCode, why: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(why));
    *response.status_mut() = code;
    response
}
