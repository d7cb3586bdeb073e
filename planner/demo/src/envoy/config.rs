//! Turns typed settings into Envoy configurations; the text comes from `envoy-config/`, which people use as well.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const HOST: &str = include_str!("../../../../envoy-config/host.yaml");
const EDGE: &str = include_str!("../../../../envoy-config/edge.yaml");
const DISCOVERED_FILTER: &str = include_str!("../../../../envoy-config/filter-discovered.yaml");
const STATIC_ENDPOINTS: &str = include_str!("../../../../envoy-config/endpoints-static.yaml");
const SERVED_ENDPOINTS: &str = include_str!("../../../../envoy-config/endpoints-served.yaml");

/// Why no configuration was made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value could change the structure of the file.
    #[error(
        "`{value}` cannot be the {name} of an Envoy configuration: use letters, digits and . _ - / : + @ only"
    )]
    Value {
        /// Name of the placeholder.
        name: &'static str,
        /// The value as given.
        value: String,
    },
    /// The template has a placeholder without a value; a mistake in `envoy-config/`.
    #[error("the template has the placeholder `{name}`, which nothing fills in")]
    Placeholder {
        /// Text of the placeholder.
        name: String,
    },
    /// A block of the template has no begin or no end; a mistake in `envoy-config/`.
    #[error("the template has no block `{name}`")]
    Block {
        /// Name of the block.
        name: &'static str,
    },
}

/// Who a proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Workload behind this proxy.
    pub workload: String,
    /// Name of this instance; unique in the mesh.
    pub pod: String,
    /// Host on which it runs.
    pub node: String,
    /// Zone of the host.
    pub zone: String,
}

/// The Foremesh filter in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterConfig {
    /// The module.
    pub module: PathBuf,
    /// Milliseconds between two summaries.
    pub interval_ms: u64,
    /// Where summaries go; the address of the planner as the proxies reach it.
    pub planner: SocketAddr,
    /// `None` writes the settings into Envoy's own configuration. With a file, name ending in `.yaml`, Envoy takes
    /// them from there and follows its changes: it must hold [`FilterConfig::resource`] when Envoy starts, and is
    /// changed with [`replace_file`].
    pub discovery: Option<PathBuf>,
    /// Whether the metadata of endpoints tells which replica answered.
    pub peers: bool,
}

impl FilterConfig {
    /// The settings for a proxy as the content of the discovery file.
    pub fn resource(&self, identity: &Identity) -> Result<String, ConfigError> {
        let mut values = identity_values(identity);
        self.add_to(&mut values);
        let (_, block, _) = split_block(HOST, "filter")?;
        // The first line of the block names the filter, as an item of a list; the rest is the resource.
        let settings: Vec<&str> =
            block.lines().skip(1).map(|line| line.get(FILTER_INDENT..).unwrap_or("")).collect();
        let head = "resources:\n- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n  name: foremesh";
        fill(&format!("{head}\n{}\n", settings.join("\n")), &values)
    }

    fn add_to(&self, values: &mut Values) {
        values.insert("WASM_FILE", self.module.display().to_string());
        values.insert("INTERVAL_MS", self.interval_ms.to_string());
        values.insert("PEER", if self.peers { "endpoint" } else { "off" }.to_owned());
    }
}

/// How far the filter is indented in the templates more than in a resource.
const FILTER_INDENT: usize = 18;

/// Puts a file into place so that a watching Envoy sees either the old content or the new one.
pub async fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    tokio::fs::write(&next, content).await?;
    tokio::fs::rename(&next, path).await
}

/// Envoy beside a service (`envoy-config/host.yaml`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// Who this proxy is.
    pub identity: Identity,
    /// Name of the service.
    pub service: String,
    /// Name of its route.
    pub route: String,
    /// Where this Envoy accepts requests.
    pub listen: SocketAddr,
    /// Port of the service on loopback.
    pub service_port: u16,
    /// Port of the admin interface on loopback.
    pub admin_port: u16,
    /// The filter; `None` leaves it out.
    pub filter: Option<FilterConfig>,
}

/// Envoy in front of a service (`envoy-config/edge.yaml`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Who this proxy is.
    pub identity: Identity,
    /// Name of the service that it leads to.
    pub service: String,
    /// Name of the route.
    pub route: String,
    /// Where this Envoy accepts requests.
    pub listen: SocketAddr,
    /// Port of the admin interface on loopback.
    pub admin_port: u16,
    /// Where the endpoints come from.
    pub endpoints: Endpoints,
    /// The filter; `None` leaves it out.
    pub filter: Option<FilterConfig>,
}

/// Source of the endpoints behind the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints {
    /// A file that the planner replaces; the name must end in `.pb`.
    File(PathBuf),
    /// A planner that serves them at this address.
    Served(SocketAddr),
    /// One endpoint that never changes.
    Static(SocketAddr),
}

impl HostConfig {
    /// The configuration as YAML.
    pub fn render(&self) -> Result<String, ConfigError> {
        let mut values = common(&self.identity, &self.service, &self.route, self.listen, self.admin_port);
        values.insert("SERVICE_PORT", self.service_port.to_string());
        fill(&with_filter(HOST, self.filter.as_ref(), &mut values)?, &values)
    }
}

impl EdgeConfig {
    /// The configuration as YAML.
    pub fn render(&self) -> Result<String, ConfigError> {
        let mut values = common(&self.identity, &self.service, &self.route, self.listen, self.admin_port);
        let mut text = with_filter(EDGE, self.filter.as_ref(), &mut values)?;
        match &self.endpoints {
            Endpoints::File(file) => {
                values.insert("EDS_FILE", file.display().to_string());
                values.insert("EDS_DIRECTORY", directory_of(file));
            }
            Endpoints::Served(address) => {
                values.insert("ADS_ADDRESS", address.ip().to_string());
                values.insert("ADS_PORT", address.port().to_string());
                text = replace_block(&text, "endpoints", SERVED_ENDPOINTS)?;
            }
            Endpoints::Static(address) => {
                values.insert("ENDPOINT_ADDRESS", address.ip().to_string());
                values.insert("ENDPOINT_PORT", address.port().to_string());
                text = replace_block(&text, "endpoints", STATIC_ENDPOINTS)?;
            }
        }
        fill(&text, &values)
    }
}

type Values = BTreeMap<&'static str, String>;

fn identity_values(identity: &Identity) -> Values {
    BTreeMap::from([
        ("WORKLOAD", identity.workload.clone()),
        ("POD", identity.pod.clone()),
        ("NODE", identity.node.clone()),
        ("ZONE", identity.zone.clone()),
    ])
}

fn common(identity: &Identity, service: &str, route: &str, listen: SocketAddr, admin_port: u16) -> Values {
    let mut values = identity_values(identity);
    values.extend([
        ("SERVICE", service.to_owned()),
        ("ROUTE", route.to_owned()),
        ("LISTEN_ADDRESS", listen.ip().to_string()),
        ("LISTEN_PORT", listen.port().to_string()),
        ("ADMIN_PORT", admin_port.to_string()),
    ]);
    values
}

fn with_filter(
    template: &str,
    filter: Option<&FilterConfig>,
    values: &mut Values,
) -> Result<String, ConfigError> {
    let Some(filter) = filter else {
        return replace_block(&replace_block(template, "filter", "")?, "planner", "");
    };
    values.insert("PLANNER_ADDRESS", filter.planner.ip().to_string());
    values.insert("PLANNER_PORT", filter.planner.port().to_string());
    let Some(file) = &filter.discovery else {
        filter.add_to(values);
        return Ok(template.to_owned());
    };
    values.insert("FILTER_FILE", file.display().to_string());
    values.insert("FILTER_DIRECTORY", directory_of(file));
    replace_block(template, "filter", DISCOVERED_FILTER)
}

fn directory_of(file: &Path) -> String {
    file.parent().unwrap_or(Path::new(".")).display().to_string()
}

/// Replaces the lines from `# begin NAME` to `# end NAME`, both included.
fn replace_block(text: &str, name: &'static str, with: &str) -> Result<String, ConfigError> {
    let (before, _, after) = split_block(text, name)?;
    Ok(format!("{}\n{with}{after}", before.trim_end()))
}

/// What stands before, between and after the lines `# begin NAME` and `# end NAME`.
fn split_block<'a>(text: &'a str, name: &'static str) -> Result<(&'a str, &'a str, &'a str), ConfigError> {
    let (begin, end) = (format!("# begin {name}\n"), format!("# end {name}\n"));
    let split = text.split_once(&begin).and_then(|(before, rest)| {
        let (block, after) = rest.split_once(&end)?;
        Some((before, block.trim_end(), after))
    });
    split.ok_or(ConfigError::Block { name })
}

fn fill(template: &str, values: &Values) -> Result<String, ConfigError> {
    let mut text = template.to_owned();
    for (name, value) in values {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:+@".contains(c);
        if value.is_empty() || !value.chars().all(allowed) {
            return Err(ConfigError::Value { name, value: value.clone() });
        }
        text = text.replace(&format!("${{{name}}}"), value);
    }
    let Some((_, rest)) = text.split_once("${") else { return Ok(text) };
    let name = rest.split('}').next().unwrap_or_default().to_owned();
    Err(ConfigError::Placeholder { name })
}

#[cfg(test)]
mod tests;
