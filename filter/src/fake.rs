//! A proxy for tests: answers from tables, and keeps what it was asked to send.
use crate::host::{Expression, Host, Level, Post};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// A body that the filter sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) token: u32,
    pub(crate) cluster: String,
    pub(crate) body: Vec<u8>,
    pub(crate) compressed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct FakeHost {
    pub(crate) now_us: Cell<u64>,
    pub(crate) random: Cell<u64>,
    pub(crate) configuration: RefCell<String>,
    /// Attributes by path, joined by dots.
    pub(crate) properties: RefCell<HashMap<String, Vec<u8>>>,
    /// Answer of the compiled list.
    pub(crate) list: RefCell<Option<Vec<u8>>>,
    pub(crate) cannot_compile: Cell<bool>,
    pub(crate) compiled: RefCell<Vec<String>>,
    pub(crate) forgotten: Cell<u32>,
    /// Whether calls cannot be started.
    pub(crate) cannot_post: Cell<bool>,
    pub(crate) sent: RefCell<Vec<Sent>>,
    pub(crate) tokens: Cell<u32>,
    pub(crate) tick_ms: Cell<u64>,
    pub(crate) released: Cell<u32>,
    pub(crate) logs: RefCell<Vec<String>>,
}

impl FakeHost {
    pub(crate) fn new() -> Self {
        let host = Self::default();
        host.now_us.set(1_700_000_000_000_000);
        host.set("xds.node.id", b"node-1");
        host.set("xds.node.cluster", b"shop");
        host
    }

    pub(crate) fn set(&self, path: &str, value: &[u8]) {
        self.properties.borrow_mut().insert(path.to_owned(), value.to_vec());
    }

    pub(crate) fn pass_ms(&self, ms: u64) {
        self.now_us.set(self.now_us.get() + ms * 1000);
    }

    /// Lets the list answer with these elements, as Envoy encodes them.
    pub(crate) fn answer(&self, elements: &[&[u8]]) {
        *self.list.borrow_mut() = Some(encode_list(elements));
    }

    /// A stream that ended well.
    pub(crate) fn stream(&self, route: &str, code: u64) {
        let [duration, code] = [1_500_000, code].map(u64::to_le_bytes);
        self.answer(&[route.as_bytes(), &duration, &code, b"outbound|80||cart.shop", b""]);
    }
}

pub(crate) fn encode_list(elements: &[&[u8]]) -> Vec<u8> {
    let mut blob = (elements.len() as u32).to_le_bytes().to_vec();
    for element in elements {
        blob.extend_from_slice(&(element.len() as u32).to_le_bytes());
        blob.extend_from_slice(&[0; 4]);
    }
    for element in elements {
        blob.extend_from_slice(element);
        blob.extend_from_slice(&[0; 2]);
    }
    blob
}

impl Host for FakeHost {
    fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    fn random(&self) -> u64 {
        self.random.get()
    }

    fn configuration(&self) -> Vec<u8> {
        self.configuration.borrow().clone().into_bytes()
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.properties.borrow().get(&path.join(".")).cloned()
    }

    fn compile(&self, expression: &str) -> Option<Expression> {
        if self.cannot_compile.get() {
            return None;
        }
        self.compiled.borrow_mut().push(expression.to_owned());
        Some([1, 2, 3, 4])
    }

    fn forget(&self, _expression: Expression) {
        self.forgotten.set(self.forgotten.get() + 1);
    }

    fn evaluate(&self, expression: Expression) -> Option<Vec<u8>> {
        assert_eq!(expression, [1, 2, 3, 4]);
        self.list.borrow().clone()
    }

    fn compress(&self, body: &[u8]) -> Option<Vec<u8>> {
        Some([b"zlib:", body].concat())
    }

    fn post(&self, post: &Post<'_>) -> Option<u32> {
        if self.cannot_post.get() {
            return None;
        }
        let token = self.tokens.get() + 1;
        self.tokens.set(token);
        self.sent.borrow_mut().push(Sent {
            token,
            cluster: post.cluster.to_owned(),
            body: post.body.to_vec(),
            compressed: post.compressed,
        });
        Some(token)
    }

    fn tick_every(&self, period_ms: u64) {
        self.tick_ms.set(period_ms);
    }

    fn release(&self) {
        self.released.set(self.released.get() + 1);
    }

    fn log(&self, _level: Level, message: &str) {
        self.logs.borrow_mut().push(message.to_owned());
    }
}
