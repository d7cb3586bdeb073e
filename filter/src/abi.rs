//! Exports and host calls: the only file that talks to the proxy, and the only one of the filter with `unsafe`.
//!
//! The SDK gives root contexts, their dispatch and the host calls. Streams do not go through it: `proxy_on_log` is our
//! own, so that no context is made, looked up and dropped for each stream, which costs as much as the work itself.
//! The SDK exports the same names, so ours have the prefix `fm__`, and the strip tool puts them in place and deletes every
//! other export, because the proxy calls whatever is exported.
//!
//! Without `proxy_on_context_create` the SDK hears of a root context through `fm__proxy_on_vm_start`, which comes once
//! for each. No stream is ever known to the SDK, hence no `proxy_on_delete` either; with the one the other is needed.
use crate::host::{Expression, Host, Level, Post};
use crate::worker::Worker;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::{BufferType, LogLevel, MapType};
use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(Root { id }));
}}

thread_local! {
    /// The one worker of this VM; made when the VM starts.
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
    /// Root contexts that the SDK knows.
    static ROOTS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` on the worker. A VM is single-threaded and no host call that is made here calls back into the module,
/// so the borrow cannot fail; if it did, one observation would be lost, and the VM would live.
fn with_worker<T>(absent: T, work: impl FnOnce(&mut Worker) -> T) -> T {
    WORKER.with(|cell| match cell.try_borrow_mut() {
        Ok(mut worker) => work(worker.get_or_insert_with(|| Worker::new(&Proxy))),
        Err(_) => absent,
    })
}

struct Root {
    id: u32,
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, _body: usize, _trailers: usize) {
        let status =
            hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok().flatten();
        let status =
            status.and_then(|text| std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()));
        with_worker((), |worker| worker.on_answer(&Proxy, self.id, token, status));
    }

    fn on_done(&mut self) -> bool {
        with_worker(true, |worker| worker.on_done(&Proxy, self.id))
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        with_worker((), |worker| worker.on_configure(&Proxy, self.id));
        true
    }

    fn on_tick(&mut self) {
        with_worker((), |worker| worker.on_tick(&Proxy, self.id));
    }
}

/// The proxy behind the SDK's host calls.
struct Proxy;

impl Host for Proxy {
    fn now_us(&self) -> u64 {
        let now = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
        now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }

    fn random(&self) -> u64 {
        let mut bytes = [0_u8; 8];
        // SAFETY: `bytes` is valid for writes of the length given, and WASI writes no more. An error leaves zeros.
        let _ = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
        u64::from_le_bytes(bytes)
    }

    fn configuration(&self) -> Vec<u8> {
        hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        hostcalls::get_property(path.to_vec()).ok().flatten()
    }

    fn compile(&self, expression: &str) -> Option<Expression> {
        foreign("expr_create", expression.as_bytes())?.try_into().ok()
    }

    fn forget(&self, expression: Expression) {
        let _ = foreign("expr_delete", &expression);
    }

    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        foreign("expr_evaluate", &expression)
    }

    fn compress(&self, body: &[u8]) -> Option<Vec<u8>> {
        foreign("compress", body).filter(|compressed| !compressed.is_empty())
    }

    fn post(&self, post: &Post<'_>) -> Option<u32> {
        let mut headers = vec![
            (":method", "POST"),
            (":path", foremesh_summary::PUSH_PATH),
            (":authority", "foremesh-planner"),
            ("content-type", foremesh_summary::CONTENT_TYPE),
        ];
        if post.compressed {
            headers.push(("content-encoding", "deflate"));
        }
        let timeout = Duration::from_millis(post.timeout_ms);
        hostcalls::dispatch_http_call(post.cluster, headers, Some(post.body), vec![], timeout).ok()
    }

    fn tick_every(&self, period_ms: u64) {
        let _ = hostcalls::set_tick_period(Duration::from_millis(period_ms));
    }

    fn release(&self) {
        // SAFETY: takes no argument. The SDK's `done` panics when the proxy does not wait for it; here that is no matter.
        let _ = unsafe { proxy_done() };
    }

    fn log(&self, level: Level, message: &str) {
        match level {
            Level::Info => log::info!("{message}"),
            Level::Warn => log::warn!("{message}"),
        }
    }
}

/// Calls a function that the proxy offers beyond the ABI.
fn foreign(name: &str, argument: &[u8]) -> Option<Vec<u8>> {
    hostcalls::call_foreign_function(name, Some(argument)).ok().flatten()
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, length: usize) -> u32;
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_done() -> u32;
}

// The SDK's own exports, called for root contexts only.
unsafe extern "C" {
    fn proxy_on_context_create(context: u32, root: u32);
    fn proxy_on_vm_start(context: u32, size: usize) -> bool;
    fn proxy_on_done(context: u32) -> bool;
}

fn is_root(context: u32) -> bool {
    ROOTS.with(|roots| roots.try_borrow().is_ok_and(|roots| roots.contains(&context)))
}

/// A VM, or a further root context in it, starts.
#[unsafe(no_mangle)]
extern "C" fn fm__proxy_on_vm_start(context: u32, size: usize) -> bool {
    if !is_root(context) {
        ROOTS.with(|roots| {
            if let Ok(mut roots) = roots.try_borrow_mut() {
                roots.push(context);
            }
        });
        // SAFETY: the proxy has just made this root context (0 is the parent of roots), and the SDK does not know it.
        unsafe { proxy_on_context_create(context, 0) };
    }
    // SAFETY: the SDK knows this root context, see above.
    unsafe { proxy_on_vm_start(context, size) }
}

/// A stream has ended.
#[unsafe(no_mangle)]
extern "C" fn fm__proxy_on_log(_context: u32) {
    with_worker((), |worker| worker.on_log(&Proxy));
}

/// A context ends: that of a stream, which the SDK does not know, or a root.
#[unsafe(no_mangle)]
extern "C" fn fm__proxy_on_done(context: u32) -> bool {
    // SAFETY: the SDK knows this root context.
    if is_root(context) { unsafe { proxy_on_done(context) } } else { true }
}
