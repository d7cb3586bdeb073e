//! One file for each service in a directory.
use super::{Endpoint, Endpoints, codec, table::Table};
use crate::{causes::chain, durable, platform::PlatformError};
use foremesh_core::ids::ServiceId;
use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Mutex;

/// The endpoint files of all services. Clones share them.
#[derive(Clone, Debug)]
pub struct EndpointFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// Reading the version and writing the next one is one thing, and what is served is what was read or written last.
    writing: Mutex<()>,
    table: Arc<Table>,
}

impl EndpointFiles {
    /// The files of a directory, which is made with the first of them.
    pub fn open(directory: impl Into<PathBuf>) -> Self {
        let shared = Shared { directory: directory.into(), writing: Mutex::default(), table: Arc::default() };
        Self { shared: Arc::new(shared) }
    }

    /// What is served.
    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.shared.table)
    }

    /// Reads every file of the directory, so that it is served. One that cannot be read is told and left out: no proxy loses
    /// what it has.
    pub(super) async fn load(&self) {
        let directory = self.shared.directory.clone();
        let listed =
            tokio::task::spawn_blocking(move || services(&directory)).await.map_err(io::Error::other);
        let services = match listed.and_then(|listed| listed) {
            Ok(services) => services,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let directory = self.shared.directory.display();
                tracing::error!(%directory, %error, "endpoint files cannot be listed, so what is in force is not served");
                return;
            }
        };
        for service in services {
            if let Err(error) = self.read(&service).await {
                let why = chain(&error);
                tracing::error!(%service, why, "endpoints are not served; proxies go on with what they have");
            }
        }
    }

    /// Where the file of a service is.
    ///
    /// # Errors
    /// When the name of the service can be no file's.
    pub fn path(&self, service: &ServiceId) -> Result<PathBuf, PlatformError> {
        let name = service.as_str();
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(refused(
                service,
                "its name can be no file's".to_owned(),
                "use a name without slashes that does not begin with a dot",
            ));
        }
        Ok(self.shared.directory.join(format!("{name}.pb")))
    }

    /// What the file of a service says; nothing when there is none, or an empty one, as it is made by hand for an Envoy that
    /// must start before its planner.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub async fn read(&self, service: &ServiceId) -> Result<Option<Endpoints>, PlatformError> {
        let path = self.path(service)?;
        let _one_at_a_time = self.shared.writing.lock().await;
        let read = read(&path).await?;
        if let Some(endpoints) = &read {
            self.shared.table.publish(service, endpoints);
        }
        Ok(read)
    }

    /// Puts these endpoints in force in place of all that the service has. They are on disk when this returns; the version
    /// is a new one only where they differ from what is there.
    ///
    /// # Errors
    /// When no endpoint has a weight, because a service must never lose its last endpoint; when the file that is there
    /// cannot be understood, or the new one cannot be written.
    pub async fn replace(
        &self,
        service: &ServiceId,
        cluster: &str,
        mut endpoints: BTreeMap<SocketAddr, Endpoint>,
    ) -> Result<(), PlatformError> {
        endpoints.retain(|_, endpoint| endpoint.weight > 0);
        if endpoints.is_empty() {
            let problem = "no replica would get traffic".to_owned();
            return Err(refused(
                service,
                problem,
                "give at least one replica that is ready a weight above 0",
            ));
        }
        let path = self.path(service)?;
        let _one_at_a_time = self.shared.writing.lock().await;
        let before = read(&path).await?;
        let version = before.as_ref().map_or(0, |before| before.version).wrapping_add(1);
        if let Some(same) = before.filter(|before| before.cluster == cluster && before.endpoints == endpoints)
        {
            self.shared.table.publish(service, &same);
            return Ok(());
        }
        let written = Endpoints { version, cluster: cluster.to_owned(), endpoints };
        durable::replace(path, codec::encode(&written)).await?;
        self.shared.table.publish(service, &written);
        let weights: BTreeMap<_, _> =
            written.endpoints.iter().map(|(address, endpoint)| (address, endpoint.weight)).collect();
        tracing::info!(%service, version, ?weights, "weights written");
        Ok(())
    }
}

/// The services that have a file in a directory.
fn services(directory: &Path) -> io::Result<Vec<ServiceId>> {
    let mut services = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let service = name.to_str().and_then(|name| name.strip_suffix(".pb"));
        services.extend(service.filter(|name| !name.starts_with('.')).map(ServiceId::from));
    }
    Ok(services)
}

fn refused(service: &ServiceId, problem: String, remedy: &str) -> PlatformError {
    PlatformError::Refused {
        object: format!("weights of service `{service}`"),
        problem,
        remedy: remedy.to_owned(),
    }
}

async fn read(path: &Path) -> Result<Option<Endpoints>, PlatformError> {
    let content = durable::read(path).await?;
    let Some(content) = content.filter(|content| !content.is_empty()) else { return Ok(None) };
    codec::decode(&content).map(Some).map_err(|error| PlatformError::Refused {
        object: path.display().to_string(),
        problem: chain(&error),
        remedy: "delete the file and restart the planner, which writes it anew".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, EndpointFiles) {
        let directory = tempfile::tempdir().unwrap();
        let files = EndpointFiles::open(directory.path().join("eds"));
        (directory, files)
    }

    fn at(weights: &[(&str, u32)]) -> BTreeMap<SocketAddr, Endpoint> {
        let of = |weight| Endpoint { weight, ..Endpoint::default() };
        weights.iter().map(|(address, weight)| (address.parse().unwrap(), of(*weight))).collect()
    }

    #[tokio::test]
    async fn a_version_is_a_change() {
        let (_kept, files) = files();
        let cart = ServiceId::from("cart");
        assert_eq!(files.read(&cart).await.unwrap(), None);
        for (weights, version) in [(90, 1), (90, 1), (80, 2), (90, 3)] {
            let endpoints = at(&[("10.0.0.1:80", weights), ("10.0.0.2:80", 10)]);
            files.replace(&cart, "outbound|80||cart", endpoints.clone()).await.unwrap();
            let read = files.read(&cart).await.unwrap().unwrap();
            assert_eq!((read.version, read.endpoints), (version, endpoints));
        }
    }

    #[tokio::test]
    async fn a_service_keeps_its_last_endpoint() {
        let (_kept, files) = files();
        let cart = ServiceId::from("cart");
        files.replace(&cart, "c", at(&[("10.0.0.1:80", 100)])).await.unwrap();
        for nothing in [at(&[]), at(&[("10.0.0.1:80", 0)])] {
            let error = files.replace(&cart, "c", nothing).await.unwrap_err().to_string();
            assert!(error.starts_with("weights of service `cart`: no replica would get traffic"), "{error}");
        }
        assert_eq!(files.read(&cart).await.unwrap().unwrap().endpoints, at(&[("10.0.0.1:80", 100)]));
    }

    #[tokio::test]
    async fn names_and_files_that_are_none_are_refused() {
        let (_kept, files) = files();
        for name in ["", "..", "../cart", "a/b", ".hidden"] {
            let error = files.read(&ServiceId::from(name)).await.unwrap_err().to_string();
            assert!(error.contains("its name can be no file's"), "{name}: {error}");
        }
        let cart = ServiceId::from("cart");
        let path = files.path(&cart).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(files.read(&cart).await.unwrap(), None, "an empty file has no endpoints yet");
        std::fs::write(&path, "resources: []").unwrap();
        let error = files.replace(&cart, "c", at(&[("10.0.0.1:80", 1)])).await.unwrap_err().to_string();
        assert!(
            error.contains("it is not a DiscoveryResponse") && error.contains("delete the file"),
            "{error}"
        );
    }
}
