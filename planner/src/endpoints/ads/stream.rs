//! The gRPC side of a stream: both forms of the protocol read into, and written from, what a [`Session`] knows.
use super::{
    metrics::AdsMetrics,
    session::{Answer, Push, Session, TooMuch},
};
use crate::endpoints::{EndpointFiles, table::Table};
use envoy_types::pb::{
    envoy::{
        config::endpoint::v3::ClusterLoadAssignment,
        service::{
            discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
                aggregated_discovery_service_server::{
                    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
                },
            },
            endpoint::v3::endpoint_discovery_service_server::{
                EndpointDiscoveryService, EndpointDiscoveryServiceServer,
            },
        },
    },
    google::rpc,
};
use futures::stream::{BoxStream, StreamExt, unfold};
use prost::Name;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Request, Response, Status, Streaming, async_trait};

/// Most streams at a time, over all connections.
const MAX_STREAMS: usize = 10_000;
/// As much of a proxy's reason goes to the log.
const REASON_CHARS: usize = 500;

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// Opens streams.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    files: EndpointFiles,
    metrics: AdsMetrics,
    stopped: watch::Receiver<bool>,
    free: Arc<Semaphore>,
}

impl Streams {
    pub(super) fn new(files: EndpointFiles, metrics: AdsMetrics, stopped: watch::Receiver<bool>) -> Self {
        Self { files, metrics, stopped, free: Arc::new(Semaphore::new(MAX_STREAMS)) }
    }

    /// The two services.
    pub(super) fn services(
        self,
        message_bytes: usize,
    ) -> (AggregatedDiscoveryServiceServer<Self>, EndpointDiscoveryServiceServer<Self>) {
        let aggregated = AggregatedDiscoveryServiceServer::new(self.clone());
        let endpoints = EndpointDiscoveryServiceServer::new(self);
        (
            aggregated.max_decoding_message_size(message_bytes),
            endpoints.max_decoding_message_size(message_bytes),
        )
    }

    fn open<F: Form>(&self, requests: Streaming<F::Request>) -> Result<Answers<F::Response>, Status> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            tracing::warn!(
                limit = MAX_STREAMS,
                "a proxy's stream of endpoints is refused: there are too many"
            );
            Status::resource_exhausted(format!("there are {MAX_STREAMS} streams; use fewer"))
        })?;
        self.metrics.streams.inc();
        let table = self.files.table();
        let stream = Stream::<F> {
            requests,
            session: Session::default(),
            changes: table.watch(),
            table,
            stopped: self.stopped.clone(),
            proxy: String::new(),
            metrics: self.metrics.clone(),
            ended: false,
            _permit: permit,
        };
        Ok(unfold(stream, async |mut stream| stream.next().await.map(|answer| (answer, stream))).boxed())
    }
}

/// One of the protocol's two forms.
trait Form: 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;

    fn read(request: Self::Request) -> Asked;
    fn write(push: &Push) -> Self::Response;
}

/// What a request says, whichever its form.
struct Asked {
    proxy: Option<String>,
    type_url: String,
    nonce: String,
    error: Option<rpc::Status>,
    names: Names,
}

enum Names {
    Only(Vec<String>),
    More { more: Vec<String>, fewer: Vec<String> },
}

struct StateOfTheWorld;

impl Form for StateOfTheWorld {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn read(request: DiscoveryRequest) -> Asked {
        Asked {
            proxy: request.node.map(|node| node.id),
            type_url: request.type_url,
            nonce: request.response_nonce,
            error: request.error_detail,
            names: Names::Only(request.resource_names),
        }
    }

    fn write(push: &Push) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: push.version(),
            resources: push.resources.iter().map(|resource| resource.encoded.clone()).collect(),
            type_url: ClusterLoadAssignment::type_url(),
            nonce: push.nonce.clone(),
            ..DiscoveryResponse::default()
        }
    }
}

struct Changes;

impl Form for Changes {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn read(request: DeltaDiscoveryRequest) -> Asked {
        Asked {
            proxy: request.node.map(|node| node.id),
            type_url: request.type_url,
            nonce: request.response_nonce,
            error: request.error_detail,
            names: Names::More {
                more: request.resource_names_subscribe,
                fewer: request.resource_names_unsubscribe,
            },
        }
    }

    fn write(push: &Push) -> DeltaDiscoveryResponse {
        let resources = push.resources.iter().map(|resource| Resource {
            name: resource.said.cluster.clone(),
            version: resource.change.to_string(),
            resource: Some(resource.encoded.clone()),
            ..Resource::default()
        });
        DeltaDiscoveryResponse {
            system_version_info: push.version(),
            resources: resources.collect(),
            type_url: ClusterLoadAssignment::type_url(),
            nonce: push.nonce.clone(),
            ..DeltaDiscoveryResponse::default()
        }
    }
}

struct Stream<F: Form> {
    requests: Streaming<F::Request>,
    session: Session,
    table: Arc<Table>,
    changes: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    /// Id of the proxy's node, which only its first request must have.
    proxy: String,
    metrics: AdsMetrics,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl<F: Form> Drop for Stream<F> {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}

impl<F: Form> Stream<F> {
    /// Waits for what is to be sent; none when the stream is over.
    async fn next(&mut self) -> Option<Result<F::Response, Status>> {
        while !self.ended {
            if let Some(push) = self.session.next(&self.table) {
                self.metrics.pushes.inc();
                return Some(Ok(F::write(&push)));
            }
            let request = tokio::select! {
                biased;
                () = ended(&mut self.stopped) => return None,
                request = self.requests.message() => request,
                changed = self.changes.changed(), if !self.session.awaits_answer() => {
                    changed.ok()?;
                    continue;
                }
            };
            match request {
                Ok(Some(request)) => {
                    if let Err(refused) = self.take(F::read(request)) {
                        tracing::warn!(proxy = self.proxy, %refused, "a proxy's stream of endpoints is ended");
                        self.ended = true;
                        return Some(Err(Status::resource_exhausted(refused.to_string())));
                    }
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::debug!(proxy = self.proxy, %error, "stream of endpoints ended early");
                    return None;
                }
            }
        }
        None
    }

    fn take(&mut self, asked: Asked) -> Result<(), TooMuch> {
        if let Some(proxy) = asked.proxy.filter(|proxy| !proxy.is_empty()) {
            self.proxy = proxy;
        }
        // Only endpoints are served. On a stream of endpoints alone the type need not be said.
        if !asked.type_url.is_empty() && asked.type_url != ClusterLoadAssignment::type_url() {
            tracing::debug!(proxy = self.proxy, asked.type_url, "a proxy asks for what is not served here");
            return Ok(());
        }
        let answer = self.session.answer(&asked.nonce, asked.error.is_some());
        let again = answer == Answer::Again;
        match answer {
            Answer::Accepted(Some(since)) => {
                self.metrics.push_seconds.observe(since.elapsed().as_secs_f64());
            }
            Answer::Refused(clusters) => {
                self.metrics.nacks.inc();
                let reason = asked.error.map(|error| error.message).unwrap_or_default();
                let reason: String = reason.chars().take(REASON_CHARS).collect();
                tracing::warn!(
                    proxy = self.proxy,
                    reason,
                    ?clusters,
                    "a proxy does not take these endpoints and goes on with those that it had; they are sent again when \
                     they change"
                );
            }
            Answer::Accepted(None) | Answer::Again | Answer::None => {}
        }
        match asked.names {
            Names::Only(names) => {
                // Envoy asks so when it warms a cluster of the same name anew.
                if !self.session.want_only(names)? && again {
                    self.session.repeat();
                }
                Ok(())
            }
            Names::More { more, fewer } => {
                self.session.forget(&fewer);
                self.session.want_more(more)
            }
        }
    }
}

async fn ended(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

#[async_trait]
impl AggregatedDiscoveryService for Streams {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.open::<StateOfTheWorld>(request.into_inner()).map(Response::new)
    }

    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.open::<Changes>(request.into_inner()).map(Response::new)
    }
}

#[async_trait]
impl EndpointDiscoveryService for Streams {
    type StreamEndpointsStream = Answers<DiscoveryResponse>;

    async fn stream_endpoints(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamEndpointsStream>, Status> {
        self.open::<StateOfTheWorld>(request.into_inner()).map(Response::new)
    }

    type DeltaEndpointsStream = Answers<DeltaDiscoveryResponse>;

    async fn delta_endpoints(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaEndpointsStream>, Status> {
        self.open::<Changes>(request.into_inner()).map(Response::new)
    }

    async fn fetch_endpoints(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("endpoints come by streams; use StreamEndpoints or ADS"))
    }
}
