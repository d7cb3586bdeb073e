//! Plugin configuration: a JSON object, every setting optional.
//!
//! A bad setting keeps its default: to refuse a configuration would fail the VM, and with it requests or data. What is
//! wrong is told in [`Config::error`], which travels in the next push.
use foremesh_summary::{Direction, Settings};
use serde_json::{Map, Value};

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

/// The settings of one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Envoy cluster that the planner is reached through.
    pub planner: String,
    /// Length of a window in milliseconds, 500 to 60 000.
    pub interval_ms: u64,
    /// Bounds of the recorder; `max_keys` is 1 to 4000.
    pub recorder: Settings,
    /// Whether the workload at the other end is read from the peer metadata of Istio.
    pub peer: bool,
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
            peer: false,
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
    object: &'a Map<String, Value>,
    /// Put before the name of a setting, such as `proxy.`.
    prefix: &'static str,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn complain(&mut self, name: &str, value: &Value, must: &str, used: &str) {
        let mut shown: String = value.to_string().chars().take(60).collect();
        if shown.len() < value.to_string().len() {
            shown.push('…');
        }
        let prefix = self.prefix;
        self.problems.push(format!("{prefix}{name} is {shown}, must be {must}: {used} is used"));
    }

    /// A whole number within bounds.
    fn number(&mut self, name: &str, least: u64, most: u64, default: u64) -> u64 {
        let Some(value) = self.object.get(name) else { return default };
        // A protobuf Struct has only floating point numbers, so 2000.0 is a whole number.
        let number = value
            .as_u64()
            .or_else(|| value.as_f64().filter(|x| x.fract() == 0.0 && *x >= 0.0).map(|x| x as u64));
        match number {
            Some(number) if (least..=most).contains(&number) => number,
            _ => {
                self.complain(
                    name,
                    value,
                    &format!("a whole number from {least} to {most}"),
                    &default.to_string(),
                );
                default
            }
        }
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.object.get(name) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.complain(name, value, "true or false", if default { "true" } else { "false" });
            default
        })
    }

    /// A text that is not empty.
    fn text(&mut self, name: &str, used: &str) -> Option<String> {
        let value = self.object.get(name)?;
        match value.as_str() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => {
                self.complain(name, value, "a text that is not empty", used);
                None
            }
        }
    }

    fn unknown(&mut self, known: &[&str]) {
        for name in self.object.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(60).collect();
            self.problems.push(format!("{}{shown} is no setting: it is ignored", self.prefix));
        }
    }
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
        let object = match serde_json::from_slice::<Value>(json) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Self::broken("the configuration is no JSON object"),
            Err(error) => return Self::broken(&format!("the configuration is not valid JSON ({error})")),
        };
        let mut problems = Vec::new();
        let mut reader = Reader { object: &object, prefix: "", problems: &mut problems };
        let default = Self::default();
        reader.unknown(&SETTINGS);
        let mut config = Self {
            planner: reader.text("planner", DEFAULT_PLANNER).unwrap_or(default.planner),
            interval_ms: reader.number("interval_ms", 500, 60_000, default.interval_ms),
            recorder: Settings {
                max_keys: reader.number("max_keys", 1, 4000, default.recorder.max_keys as u64) as usize,
                idle_windows: reader.number(
                    "idle_windows",
                    1,
                    1_000_000,
                    default.recorder.idle_windows.into(),
                ) as u32,
            },
            peer: reader.flag("peer", default.peer),
            direction_default: Self::direction(&mut reader),
            compress_above_bytes: reader.number(
                "host_compression_above_bytes",
                0,
                1 << 30,
                default.compress_above_bytes as u64,
            ) as usize,
            log_push: reader.flag("log_push", default.log_push),
            proxy: Overrides::default(),
            error: String::new(),
        };
        match object.get("proxy") {
            None => {}
            Some(Value::Object(proxy)) => config.proxy = Overrides::read(proxy, &mut problems),
            Some(value) => reader.complain("proxy", value, "an object", "what the proxy says of itself"),
        }
        config.error = problems.join("; ");
        config
    }

    fn broken(what: &str) -> Self {
        Self { error: format!("{what}: defaults are used"), ..Self::default() }
    }

    fn direction(reader: &mut Reader<'_>) -> Direction {
        match reader.object.get("direction_default") {
            None => Direction::Outbound,
            Some(value) => match value.as_str() {
                Some("outbound") => Direction::Outbound,
                Some("inbound") => Direction::Inbound,
                _ => {
                    reader.complain(
                        "direction_default",
                        value,
                        "\"inbound\" or \"outbound\"",
                        "\"outbound\"",
                    );
                    Direction::Outbound
                }
            },
        }
    }
}

impl Overrides {
    fn read(object: &Map<String, Value>, problems: &mut Vec<String>) -> Self {
        let mut reader = Reader { object, prefix: "proxy.", problems };
        reader.unknown(&PROXY_SETTINGS);
        let used = "what the proxy says of itself";
        Self {
            mesh: reader.text("mesh", used),
            cluster: reader.text("cluster", used),
            namespace: reader.text("namespace", used),
            workload: reader.text("workload", used),
            pod: reader.text("pod", used),
            node: reader.text("node", used),
            zone: reader.text("zone", used),
        }
    }
}

#[cfg(test)]
mod tests;
