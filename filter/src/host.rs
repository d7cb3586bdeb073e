//! What the filter asks of the proxy.

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What an operator may want to know.
    Info,
    /// What an operator should mend.
    Warn,
}

/// A compiled expression of the proxy, as it names it.
pub type Expression = [u8; 4];

/// One body on its way to the planner.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// Cluster that the planner is reached through.
    pub cluster: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Whether the body is zlib-compressed.
    pub compressed: bool,
    /// Milliseconds after which the proxy gives up.
    pub timeout_ms: u64,
}

/// The proxy, as far as the filter needs it. No call may panic; a missing answer is `None`.
pub trait Host {
    /// The proxy's wall clock, in microseconds since 1970.
    fn now_us(&self) -> u64;
    /// 64 random bits.
    fn random(&self) -> u64;
    /// The plugin configuration as it was given.
    fn configuration(&self) -> Vec<u8>;
    /// One attribute; `None` when it is missing.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Compiles an expression; `None` when the proxy cannot.
    fn compile(&self, expression: &str) -> Option<Expression>;
    /// Forgets a compiled expression.
    fn forget(&self, expression: Expression);
    /// Evaluates a compiled expression for the stream at hand; `None` when one of its parts is missing.
    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>>;
    /// Compresses with zlib; `None` when the proxy cannot.
    fn compress(&self, body: &[u8]) -> Option<Vec<u8>>;
    /// Starts a POST and gives its token; `None` when it could not be started.
    fn post(&self, post: &Post<'_>) -> Option<u32>;
    /// Asks for a tick every so many milliseconds.
    fn tick_every(&self, period_ms: u64);
    /// Tells the proxy that a root context that waited after its end can go.
    fn release(&self);
    /// Writes a log line.
    fn log(&self, level: Level, message: &str);
}
