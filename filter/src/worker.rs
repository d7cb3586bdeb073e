//! The state of one VM: one worker of one proxy.
//!
//! A change of the configuration comes with a new root context in the same VM, so all state is here, and a root context
//! is just a number. Several may be alive: the old and the new one during a change, or those of two filter entries
//! that share a VM (then the configuration that came last holds for both).
use crate::config::Config;
use crate::host::{Expression, Host, Level, Post};
use crate::identity;
use crate::observe::{self, Context};
use crate::push::{CALL_TIMEOUT_MS, Outcome, Push, Todo};
use foremesh_summary::{Frame, Proxy, Recorder};

/// One worker's recorder, its delivery and its settings.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    proxy: Proxy,
    /// The compiled list and its text.
    expression: Option<(Expression, String)>,
    recorder: Recorder,
    push: Push,
    /// Root contexts that are configured and not done.
    roots: Vec<u32>,
    /// Root contexts that are done, but wait for the answer of a call.
    leaving: Vec<u32>,
    /// Whether the call at hand carries a compressed body, by token.
    compressed: Option<u32>,
}

/// An epoch that no two workers share: the time alone is not enough, because the workers of a proxy start within the
/// same microsecond. 41 bits of milliseconds last until 2039, and 22 random bits tell the workers apart.
fn new_epoch(now_ms: u64, random: u64) -> u64 {
    ((now_ms << 22) | (random & 0x3f_ffff)).max(1)
}

fn millis(micros: u64) -> u64 {
    micros.checked_div(1000).unwrap_or(0)
}

impl Worker {
    /// A worker on defaults, at the start of a VM.
    pub fn new(host: &impl Host) -> Self {
        let now_ms = millis(host.now_us());
        let epoch = new_epoch(now_ms, host.random());
        let config = Config::default();
        Self {
            recorder: Recorder::new(epoch, now_ms, config.recorder),
            push: Push::new(config.interval_ms, epoch),
            config,
            proxy: Proxy::default(),
            expression: None,
            roots: Vec::new(),
            leaving: Vec::new(),
            compressed: None,
        }
    }

    /// The recorder, for its counts.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The delivery, for its counts.
    pub fn push(&self) -> &Push {
        &self.push
    }

    /// Takes the configuration of a root context. Settings change; what is recorded and pending stays.
    pub fn on_configure(&mut self, host: &impl Host, root: u32) {
        if !self.roots.contains(&root) {
            self.roots.push(root);
        }
        self.leaving.retain(|leaving| *leaving != root);
        self.config = Config::parse(&host.configuration());
        if !self.config.error.is_empty() {
            host.log(Level::Warn, &format!("plugin configuration: {}", self.config.error));
        }
        self.proxy = identity::read(host, &self.config.proxy);
        self.recorder.configure(self.config.recorder);
        self.push.configure(self.config.interval_ms);
        self.compile(host);
        host.tick_every(self.push.tick_ms());
    }

    fn compile(&mut self, host: &impl Host) {
        let text = observe::expression(&self.config);
        if self.expression.as_ref().is_some_and(|(_, compiled)| *compiled == text) {
            return;
        }
        if let Some((old, _)) = self.expression.take() {
            host.forget(old);
        }
        match host.compile(&text) {
            Some(expression) => self.expression = Some((expression, text)),
            None => host.log(
                Level::Warn,
                "the proxy cannot compile the attribute list: attributes are read one by one",
            ),
        }
    }

    /// Records the stream that has just ended.
    pub fn on_log(&mut self, host: &impl Host) {
        let context = Context {
            expression: self.expression.as_ref().map(|(expression, _)| *expression),
            peer: self.config.peer,
            direction_default: self.config.direction_default,
            workload: &self.proxy.workload,
        };
        observe::observe(host, &context, &mut self.recorder);
    }

    /// Freezes and sends what is due.
    pub fn on_tick(&mut self, host: &impl Host, root: u32) {
        if !self.roots.contains(&root) {
            return;
        }
        let began_us = host.now_us();
        let now_ms = millis(began_us);
        let (live, cumulative) = (self.recorder.live(), self.recorder.cumulative());
        match self.push.due(now_ms, self.recorder.start_unix_ms(), live, cumulative) {
            Todo::Wait => {}
            Todo::Skip => self.recorder.restart_window(now_ms),
            Todo::Send => self.send(host, root),
            Todo::Freeze => {
                self.freeze(now_ms);
                let sending_us = host.now_us();
                self.send(host, root);
                self.log_push(host, sending_us.saturating_sub(began_us), sending_us);
            }
        }
    }

    fn log_push(&self, host: &impl Host, encode_us: u64, sending_us: u64) {
        if !self.config.log_push {
            return;
        }
        let call_us = host.now_us().saturating_sub(sending_us);
        let (bytes, routes) = (self.push.last_body_bytes(), self.recorder.routes());
        let (cumulative, fallbacks) = (self.recorder.cumulative(), self.recorder.fallbacks());
        host.log(
            Level::Info,
            &format!(
                "push routes={routes} bytes={bytes} encode_us={encode_us} call_us={call_us} \
                 cumulative={cumulative} fallbacks={fallbacks}"
            ),
        );
    }

    fn freeze(&mut self, now_ms: u64) {
        let frame =
            Frame { proxy: &self.proxy, failed_pushes: self.push.failed(), config_error: &self.config.error };
        if let Some(summary) = self.recorder.freeze(now_ms, &frame) {
            self.push.frozen(foremesh_summary::encode(&summary));
        }
    }

    /// Sends the oldest body that is not on its way.
    fn send(&mut self, host: &impl Host, root: u32) {
        let Some((at, body)) = self.push.unsent().next() else { return };
        let limit = self.config.compress_above_bytes;
        let wanted = limit > 0 && body.len() > limit && self.push.may_compress();
        let compressed = if wanted { host.compress(body) } else { None };
        let post = Post {
            cluster: &self.config.planner,
            body: compressed.as_deref().unwrap_or(body),
            compressed: compressed.is_some(),
            timeout_ms: CALL_TIMEOUT_MS,
        };
        let token = host.post(&post);
        if post.compressed {
            self.compressed = token;
        }
        self.push.sent(at, root, token, millis(host.now_us()));
    }

    /// Takes the answer of a call of `root`; `status` is `None` when there was no response.
    pub fn on_answer(&mut self, host: &impl Host, root: u32, token: u32, status: Option<u16>) {
        let compressed = self.compressed == Some(token);
        match self.push.answered(token, status, compressed, millis(host.now_us())) {
            Some(Outcome::Uncompress) => {
                host.log(Level::Warn, "the planner does not take compressed summaries: they are sent plain");
                self.send(host, root);
            }
            Some(Outcome::Refused) => {
                let status = status.unwrap_or(0);
                host.log(
                    Level::Warn,
                    &format!("the planner refused a summary (status {status}): it is given up"),
                );
            }
            Some(Outcome::Acknowledged | Outcome::Failed) | None => {}
        }
        if self.leaving.contains(&root) && !self.push.awaits_answer(root) {
            self.leaving.retain(|leaving| *leaving != root);
            host.release();
        }
    }

    /// Ends a root context; false when it has to stay until [`Host::release`], because it waits for an answer.
    ///
    /// Only when no other root context is left does the live window go out: a change of the configuration alone must
    /// not flush, since the answer to a call of the old root context may never come.
    pub fn on_done(&mut self, host: &impl Host, root: u32) -> bool {
        self.roots.retain(|alive| *alive != root);
        if self.roots.is_empty() {
            self.push.recall(root);
            if self.push.has_room() {
                self.freeze(millis(host.now_us()));
            }
            for _ in 0..self.push.pending() {
                self.send(host, root);
            }
        }
        let waits = self.push.awaits_answer(root);
        if waits {
            self.leaving.push(root);
        }
        !waits
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may fail by a panic")]
mod tests;
