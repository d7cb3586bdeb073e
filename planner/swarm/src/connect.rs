//! Where dockerd is, and a connection to it: its unix socket, or TCP with or without TLS.
use crate::error::{SwarmError, Why, in_full};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{fmt, io, path::PathBuf, str::FromStr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

/// Where dockerd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:///var/run/docker.sock`.
    Unix(PathBuf),
    /// `tcp://HOST:PORT`.
    Tcp(String),
}

/// Certificates for a dockerd that is reached over TCP with `--tlsverify`. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Who signed the certificate of dockerd.
    pub ca: PathBuf,
    /// The planner's own certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = || format!("`{text}` is neither unix:///PATH nor tcp://HOST:PORT");
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(problem()) };
        }
        let address = text.strip_prefix("tcp://").ok_or_else(problem)?;
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
        match port.map(str::parse::<u16>) {
            Some(Ok(_)) => Ok(Self::Tcp(address.to_owned())),
            _ => Err(problem()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// What bytes go over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections to one dockerd.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) endpoint: Endpoint,
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Connect {
    /// Reads the certificates.
    ///
    /// # Errors
    /// Which file cannot be used.
    pub(crate) fn new(endpoint: Endpoint, tls: Option<&Tls>) -> Result<Self, SwarmError> {
        let tls = tls.map(connector).transpose()?;
        Ok(Self { endpoint, tls })
    }

    pub(crate) async fn open(&self) -> Result<TokioIo<Box<dyn Stream>>, SwarmError> {
        let stream: io::Result<Box<dyn Stream>> = match &self.endpoint {
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
            Endpoint::Tcp(address) => self.tcp(address).await,
        };
        stream.map(TokioIo::new).map_err(|error| self.failed(&error))
    }

    async fn tcp(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(address).await?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    fn failed(&self, error: &io::Error) -> SwarmError {
        let (why, remedy) = match error.kind() {
            io::ErrorKind::NotFound => (
                Why::Unreachable,
                "start dockerd, or correct `platform.swarm.endpoint`; in a container, mount the socket",
            ),
            io::ErrorKind::PermissionDenied => {
                (Why::Forbidden, "let the planner's user use the socket, as by the group `docker`")
            }
            _ => (Why::Unreachable, "see that dockerd runs, and listens there"),
        };
        SwarmError::new(why, self.object(), in_full(error), remedy)
    }

    pub(crate) fn object(&self) -> String {
        format!("dockerd at {}", self.endpoint)
    }
}

fn connector(tls: &Tls) -> Result<TlsConnector, SwarmError> {
    let unusable = |path: &PathBuf, error: &dyn std::error::Error| {
        let remedy = "name a PEM file, as `docker --tlsverify` takes it";
        SwarmError::new(Why::Forbidden, format!("file {}", path.display()), in_full(error), remedy)
    };
    let certificates = |path: &PathBuf| {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        read.map_err(|error| unusable(path, &error))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        roots.add(certificate).map_err(|error| unusable(&tls.ca, &error))?;
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unusable(&tls.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&tls.ca, &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&tls.certificate)?, key)
        .map_err(|error| unusable(&tls.certificate, &error))?;
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_sockets_or_addresses() {
        for (text, same) in [
            ("unix:///var/run/docker.sock", true),
            ("tcp://10.0.0.1:2376", true),
            ("tcp://[fd00::1]:2376", true),
            ("tcp://10.0.0.1", false),
            ("tcp://:2376", false),
            ("tcp://host:99999", false),
            ("unix://docker.sock", false),
            ("/var/run/docker.sock", false),
            ("", false),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()).ok(),
                same.then(|| text.to_owned()),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let connect = Connect::new(Endpoint::Unix(directory.path().join("none.sock")), None).unwrap();
        let error = connect.open().await.map(|_| ()).unwrap_err();
        assert_eq!(error.why, Why::Unreachable);
        assert!(error.to_string().contains("none.sock"), "{error}");
        assert!(error.to_string().contains("platform.swarm.endpoint"), "{error}");
    }
}
