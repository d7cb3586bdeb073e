//! Requests to the API of dockerd: each with a deadline, its answer bounded, its failure in words.
use crate::{
    connect::{Connect, Endpoint, Tls},
    error::{SwarmError, Why, in_full},
    labels::SURGE_OF,
    mapping::Objects,
    objects::{Network, Node, Service, Task},
    spec::Spec,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HOST, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::timeout};

/// The oldest API that has what moves need (`MaxReplicas`; Docker 19.03).
const OLDEST: (u32, u32) = (1, 40);
/// The newest one that was tried.
const NEWEST_TRIED: (u32, u32) = (1, 56);

/// How dockerd is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Certificates, where TCP is used with TLS.
    pub tls: Option<Tls>,
    /// How long one answer may take.
    pub deadline: Duration,
    /// How long an answer may be, in bytes.
    pub answer_bytes: usize,
}

impl ClientSettings {
    /// With the usual limits.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, tls: None, deadline: Duration::from_secs(10), answer_bytes: 64 << 20 }
    }
}

/// Speaks to the dockerd of a manager; clones share what it knows of it.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connect: Connect,
    settings: ClientSettings,
    version: OnceCell<String>,
}

/// Whether a write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Stored,
    /// The object is another one by now, or gone.
    Overtaken,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(rename = "ApiVersion")]
    api: String,
}

impl Client {
    /// Reads the certificates, and connects to nothing yet.
    ///
    /// # Errors
    /// Which file cannot be used.
    pub fn new(settings: ClientSettings) -> Result<Self, SwarmError> {
        let connect = Connect::new(settings.endpoint.clone(), settings.tls.as_ref())?;
        Ok(Self { shared: Arc::new(Shared { connect, settings, version: OnceCell::new() }) })
    }

    /// The version of the API that is spoken: the newest one of this dockerd. With an older one it would leave out of a
    /// spec, and take out of it when it is written, what that version did not have.
    ///
    /// # Errors
    /// When it cannot be asked, or is too old.
    pub async fn version(&self) -> Result<&str, SwarmError> {
        self.shared.version.get_or_try_init(|| self.ask_version()).await.map(String::as_str)
    }

    async fn ask_version(&self) -> Result<String, SwarmError> {
        let answer = self.send(Method::GET, "/version", Bytes::new()).await?;
        let Versions { api } = Self::read(&self.fine(answer, "its version")?, "its version")?;
        let object = self.shared.connect.object();
        let Some(number) = number(&api) else {
            let problem = format!("it says that its API has version `{api}`");
            return Err(SwarmError::new(Why::Version, object, problem, "see what answers there"));
        };
        if number < OLDEST {
            let problem = format!("its API has version {api}, and {}.{} is needed", OLDEST.0, OLDEST.1);
            return Err(SwarmError::new(Why::Version, object, problem, "use Docker 19.03 or later"));
        }
        if number > NEWEST_TRIED {
            tracing::info!(
                version = api,
                "dockerd is newer than what was tried; its API is spoken all the same"
            );
        }
        Ok(api)
    }

    /// All nodes.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn nodes(&self) -> Result<Vec<Node>, SwarmError> {
        self.get("/nodes", "nodes").await
    }

    /// All services.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn services(&self) -> Result<Vec<Service>, SwarmError> {
        self.get("/services", "services").await
    }

    /// Surge services, of all moves.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub(crate) async fn surges(&self) -> Result<Vec<Service>, SwarmError> {
        let filters = json!({"label": [SURGE_OF]}).to_string();
        self.get(&format!("/services?filters={}", encoded(&filters)), "services").await
    }

    /// All that a picture of the Swarm is made of.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn objects(&self) -> Result<Objects, SwarmError> {
        let (nodes, services, tasks, networks) =
            futures::try_join!(self.nodes(), self.services(), self.tasks(), self.networks())?;
        Ok(Objects { nodes, services, tasks, networks })
    }

    /// A service by its id or its name.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn service(&self, name: &str) -> Result<Option<Service>, SwarmError> {
        let path = format!("/services/{}", encoded(name));
        let answer = self.call(Method::GET, &path, Bytes::new()).await?;
        let object = format!("service `{name}`");
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Self::read(&self.fine(answer, &object)?, &object).map(Some)
    }

    /// All networks.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn networks(&self) -> Result<Vec<Network>, SwarmError> {
        let filters = json!({"scope": ["swarm"]}).to_string();
        self.get(&format!("/networks?filters={}", encoded(&filters)), "networks").await
    }

    /// Tasks that are to run.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn tasks(&self) -> Result<Vec<Task>, SwarmError> {
        self.filtered(&json!({"desired-state": ["running"]}), "tasks").await
    }

    /// All tasks of a service, those of the past too that Swarm still has.
    ///
    /// # Errors
    /// When dockerd does not tell.
    pub async fn tasks_of(&self, service: &str) -> Result<Vec<Task>, SwarmError> {
        self.filtered(&json!({"service": [service]}), &format!("tasks of service `{service}`")).await
    }

    async fn filtered(&self, filters: &Value, object: &str) -> Result<Vec<Task>, SwarmError> {
        self.get(&format!("/tasks?filters={}", encoded(&filters.to_string())), object).await
    }

    /// Makes a service; overtaken when one of that name is there.
    ///
    /// # Errors
    /// When dockerd refuses.
    pub async fn create(&self, name: &str, spec: &Spec) -> Result<Written, SwarmError> {
        let body = Bytes::from(spec.as_str().to_owned());
        let answer = self.call(Method::POST, "/services/create", body).await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(Written::Overtaken);
        }
        self.fine(answer, &format!("service `{name}`")).map(|_| Written::Stored)
    }

    /// Changes a service that still has this version.
    ///
    /// # Errors
    /// When dockerd refuses for another reason than the version.
    pub async fn update(&self, service: &Service, spec: &Spec) -> Result<Written, SwarmError> {
        let path = format!("/services/{}/update?version={}", encoded(&service.id), service.version.index);
        let answer = self.call(Method::POST, &path, Bytes::from(spec.as_str().to_owned())).await?;
        // 20.10 says so with status 500, others with 400 or 409.
        let sequence = !answer.status.is_success() && answer.said().contains("out of sequence");
        if sequence || answer.status == StatusCode::NOT_FOUND {
            return Ok(Written::Overtaken);
        }
        self.fine(answer, &format!("service `{}`", service.name())).map(|_| Written::Stored)
    }

    /// Removes a service, and is content when it is gone.
    ///
    /// # Errors
    /// When dockerd refuses.
    pub async fn remove(&self, id: &str) -> Result<(), SwarmError> {
        let answer = self.call(Method::DELETE, &format!("/services/{}", encoded(id)), Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        self.fine(answer, &format!("service `{id}`")).map(|_| ())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, object: &str) -> Result<T, SwarmError> {
        let answer = self.call(Method::GET, path, Bytes::new()).await?;
        Self::read(&self.fine(answer, object)?, object)
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, SwarmError> {
        let path = format!("/v{}{path}", self.version().await?);
        self.send(method, &path, body).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, SwarmError> {
        let Shared { settings, .. } = &*self.shared;
        let answered = async {
            let answer = self.begin(method, path, body).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), settings.answer_bytes).collect().await;
            let body = body.map_err(|error| self.broken(&*error))?.to_bytes();
            Ok(Answer { status, body })
        };
        timeout(settings.deadline, answered).await.unwrap_or_else(|_| {
            let problem = format!("it did not answer {path} within {:?}", settings.deadline);
            let remedy = "see what keeps it busy, or raise `platform.swarm.deadline`";
            Err(SwarmError::new(Why::Unreachable, self.shared.connect.object(), problem, remedy))
        })
    }

    /// Asks over a connection of its own, which ends with the answer.
    pub(crate) async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, SwarmError> {
        let stream = self.shared.connect.open().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|error| self.broken(&error))?;
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| self.broken(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("docker"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        sender.send_request(request).await.map_err(|error| self.broken(&error))
    }

    pub(crate) fn broken(&self, error: &(dyn std::error::Error + 'static)) -> SwarmError {
        let remedy = "see its log, and that it is dockerd what answers there";
        SwarmError::new(Why::Unreachable, self.shared.connect.object(), in_full(error), remedy)
    }

    fn fine(&self, answer: Answer, object: &str) -> Result<Bytes, SwarmError> {
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let said = answer.said();
        let manager =
            answer.status == StatusCode::SERVICE_UNAVAILABLE || said.contains("not a swarm manager");
        Err(if manager {
            let remedy = "run the planner on a manager (`docker swarm init`, `docker node promote`), or name one in \
                          `platform.swarm.endpoint`";
            SwarmError::new(Why::NotAManager, self.shared.connect.object(), said, remedy)
        } else {
            let problem = format!("dockerd answers {}: {said}", answer.status.as_u16());
            SwarmError::new(Why::Answer, object, problem, "try the same with `docker service` to see more")
        })
    }

    fn read<T: DeserializeOwned>(body: &[u8], object: &str) -> Result<T, SwarmError> {
        serde_json::from_slice(body).map_err(|error| {
            let problem = format!("the answer of dockerd is not understood: {error}");
            SwarmError::new(Why::Answer, object, problem, "report it as a fault of Foremesh, with the answer")
        })
    }
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// What dockerd says of an error, without the JSON around it.
    fn said(&self) -> String {
        #[derive(Deserialize)]
        struct Said {
            message: String,
        }
        match serde_json::from_slice::<Said>(&self.body) {
            Ok(said) => said.message,
            Err(_) => String::from_utf8_lossy(&self.body).trim().chars().take(500).collect(),
        }
    }
}

fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A text as a part of a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut written = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

#[cfg(test)]
mod tests;
