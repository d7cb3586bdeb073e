//! Plugin configuration: a JSON object, every setting optional.
//!
//! A bad setting keeps its default: to refuse a configuration would fail the VM, and with it requests or data. What is
//! wrong is told in [`Config::error`], which travels in the next push.
use foremesh_summary::{Direction, Settings};
use json::{Kind, Value};

mod json;

/// Cluster that the planner is reached through, when none is set.
pub const DEFAULT_PLANNER: &str = "foremesh-planner";

/// Who this proxy is, where the configuration says so; else the proxy is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Mesh id.
    pub mesh: Option<String>,
    /// Cluster id.
    pub cluster: Option<String>,
    /// Namespace of the workload.
    pub namespace: Option<String>,
    /// Workload.
    pub workload: Option<String>,
    /// Pod, or another name of the replica.
    pub pod: Option<String>,
    /// Node (host).
    pub node: Option<String>,
    /// Zone of the node.
    pub zone: Option<String>,
}

/// Where it is read who is at the other end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// Nowhere.
    #[default]
    Off,
    /// From the peer metadata of Istio: the workload.
    Workload,
    /// From the metadata of the endpoint that was chosen: the replica, as the planner writes it there.
    Endpoint,
}

/// The settings of one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Envoy cluster that the planner is reached through.
    pub planner: String,
    /// Length of a window in milliseconds, 200 to 60 000.
    pub interval_ms: u64,
    /// Bounds of the recorder; `max_keys` is 1 to 4000.
    pub recorder: Settings,
    /// Where it is read who is at the other end.
    pub peer: Peer,
    /// Direction of streams whose cluster name does not tell it.
    pub direction_default: Direction,
    /// Bodies longer than this are compressed by the proxy; 0 is never.
    pub compress_above_bytes: usize,
    /// Whether each push is logged with the time that it took.
    pub log_push: bool,
    /// Who this proxy is.
    pub proxy: Overrides,
    /// What is wrong with the configuration; empty when nothing is.
    pub error: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            planner: DEFAULT_PLANNER.to_owned(),
            interval_ms: 2000,
            recorder: Settings::default(),
            peer: Peer::Off,
            direction_default: Direction::Outbound,
            compress_above_bytes: 32_768,
            log_push: false,
            proxy: Overrides::default(),
            error: String::new(),
        }
    }
}

/// Reads the settings of one object and collects what is wrong.
struct Reader<'a> {
    members: &'a [(String, Value<'a>)],
    /// Put before the name of a setting, such as `proxy.`.
    prefix: &'static str,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(members: &'a [(String, Value<'a>)], prefix: &'static str, known: &[&str]) -> Self {
        let unknown = members.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let problems =
            unknown.map(|(name, _)| format!("{prefix}{} is no setting: it is ignored", shorten(name)));
        Self { members, prefix, problems: problems.collect() }
    }

    /// The value of a setting; the last one counts where a name is given twice.
    fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        self.members.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn complain(&mut self, name: &str, value: &Value<'_>, must: &str, used: &str) {
        let (prefix, shown) = (self.prefix, shorten(value.raw));
        self.problems.push(format!("{prefix}{name} is {shown}, must be {must}: {used} is used"));
    }

    /// A whole number within bounds.
    fn number(&mut self, name: &str, least: u64, most: u64, default: u64) -> u64 {
        let Some(value) = self.get(name) else { return default };
        match value.kind {
            Kind::Whole(number) if (least..=most).contains(&number) => number,
            _ => {
                let bounds = format!("a whole number from {least} to {most}");
                self.complain(name, value, &bounds, &default.to_string());
                default
            }
        }
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.get(name) else { return default };
        let Kind::Flag(flag) = value.kind else {
            self.complain(name, value, "true or false", if default { "true" } else { "false" });
            return default;
        };
        flag
    }

    /// A text that is not empty.
    fn text(&mut self, name: &str, used: &str) -> Option<String> {
        let value = self.get(name)?;
        match &value.kind {
            Kind::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.complain(name, value, "a text that is not empty", used);
                None
            }
        }
    }

    fn peer(&mut self, name: &str) -> Peer {
        let Some(value) = self.get(name) else { return Peer::Off };
        match &value.kind {
            Kind::Flag(false) => Peer::Off,
            Kind::Flag(true) => Peer::Workload,
            Kind::Text(text) if text == "off" => Peer::Off,
            Kind::Text(text) if text == "workload" => Peer::Workload,
            Kind::Text(text) if text == "endpoint" => Peer::Endpoint,
            _ => {
                self.complain(name, value, "\"off\", \"workload\" or \"endpoint\"", "\"off\"");
                Peer::Off
            }
        }
    }

    fn direction(&mut self, name: &str) -> Direction {
        let Some(value) = self.get(name) else { return Direction::Outbound };
        match &value.kind {
            Kind::Text(text) if text == "outbound" => Direction::Outbound,
            Kind::Text(text) if text == "inbound" => Direction::Inbound,
            _ => {
                self.complain(name, value, "\"inbound\" or \"outbound\"", "\"outbound\"");
                Direction::Outbound
            }
        }
    }
}

/// The beginning of a text, for a message.
fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

const SETTINGS: [&str; 9] = [
    "planner",
    "interval_ms",
    "max_keys",
    "idle_windows",
    "peer",
    "direction_default",
    "host_compression_above_bytes",
    "log_push",
    "proxy",
];
const PROXY_SETTINGS: [&str; 7] = ["mesh", "cluster", "namespace", "workload", "pod", "node", "zone"];

impl Config {
    /// Reads a configuration; never fails. An empty one is all defaults.
    pub fn parse(json: &[u8]) -> Self {
        if json.iter().all(u8::is_ascii_whitespace) {
            return Self::default();
        }
        let Ok(text) = std::str::from_utf8(json) else {
            return Self::broken("the configuration is not UTF-8");
        };
        match json::parse(text) {
            Ok(Value { kind: Kind::Object(members), .. }) => Self::read(&members),
            Ok(_) => Self::broken("the configuration is no JSON object"),
            Err(broken) => {
                Self::broken(&format!("the configuration is not valid JSON at byte {}", broken.at))
            }
        }
    }

    fn broken(what: &str) -> Self {
        Self { error: format!("{what}: defaults are used"), ..Self::default() }
    }

    fn read(members: &[(String, Value<'_>)]) -> Self {
        let default = Self::default();
        let mut reader = Reader::new(members, "", &SETTINGS);
        let idle = u64::from(default.recorder.idle_windows);
        let compress = default.compress_above_bytes as u64;
        let mut config = Self {
            planner: reader.text("planner", DEFAULT_PLANNER).unwrap_or(default.planner),
            interval_ms: reader.number("interval_ms", 200, 60_000, default.interval_ms),
            recorder: Settings {
                max_keys: reader.number("max_keys", 1, 4000, default.recorder.max_keys as u64) as usize,
                idle_windows: reader.number("idle_windows", 1, 1_000_000, idle) as u32,
            },
            peer: reader.peer("peer"),
            direction_default: reader.direction("direction_default"),
            compress_above_bytes: reader.number("host_compression_above_bytes", 0, 1 << 30, compress)
                as usize,
            log_push: reader.flag("log_push", default.log_push),
            proxy: Overrides::default(),
            error: String::new(),
        };
        match reader.get("proxy") {
            None => {}
            Some(Value { kind: Kind::Object(proxy), .. }) => {
                let mut inner = Reader::new(proxy, "proxy.", &PROXY_SETTINGS);
                config.proxy = Overrides::read(&mut inner);
                reader.problems.append(&mut inner.problems);
            }
            Some(value) => reader.complain("proxy", value, "an object", OF_ITSELF),
        }
        config.error = reader.problems.join("; ");
        config
    }
}

/// What is used where the configuration does not say who the proxy is.
const OF_ITSELF: &str = "what the proxy says of itself";

impl Overrides {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            mesh: reader.text("mesh", OF_ITSELF),
            cluster: reader.text("cluster", OF_ITSELF),
            namespace: reader.text("namespace", OF_ITSELF),
            workload: reader.text("workload", OF_ITSELF),
            pod: reader.text("pod", OF_ITSELF),
            node: reader.text("node", OF_ITSELF),
            zone: reader.text("zone", OF_ITSELF),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail by a panic")]
mod tests;
