//! A reader of small JSON objects.
//!
//! It is here because the module is shipped to every proxy and a general JSON library would be a quarter of it. It reads
//! what a configuration holds: texts, whole numbers, flags and objects; other values are kept as raw text for the
//! complaint about them.

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// A value and its raw text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value<'a> {
    pub(super) raw: &'a str,
    pub(super) kind: Kind<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    Text(String),
    /// A whole number; `2000.0` is one, because a protobuf Struct has only floating point numbers.
    Whole(u64),
    Flag(bool),
    Object(Vec<(String, Value<'a>)>),
    /// A list, `null`, or another number.
    Other,
}

/// Position of what cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
}

/// Reads one value and nothing after it.
pub(super) fn parse(text: &str) -> Result<Value<'_>, Broken> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(reader.broken()) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn broken(&self) -> Broken {
        Broken { at: self.at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.skip(1);
        }
    }

    /// Skips space and takes `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.peek() == Some(byte);
        self.skip(usize::from(there));
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.take(byte) { Ok(()) } else { Err(self.broken()) }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Broken> {
        if depth > MAX_DEPTH {
            return Err(self.broken());
        }
        self.space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Value { raw: self.text.get(start..self.at).unwrap_or_default(), kind })
    }

    fn object(&mut self, depth: usize) -> Result<Kind<'a>, Broken> {
        self.expect(b'{')?;
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Kind::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.expect(b':')?;
            members.push((name, self.value(depth.saturating_add(1))?));
            if self.take(b'}') {
                return Ok(Kind::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind<'a>, Broken> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(Kind::Other);
        }
        loop {
            self.value(depth.saturating_add(1))?;
            if self.take(b']') {
                return Ok(Kind::Other);
            }
            self.expect(b',')?;
        }
    }

    fn word(&mut self) -> Result<Kind<'a>, Broken> {
        let words = [("true", Kind::Flag(true)), ("false", Kind::Flag(false)), ("null", Kind::Other)];
        for (word, kind) in words {
            if self.rest().starts_with(word) {
                self.skip(word.len());
                return Ok(kind);
            }
        }
        Err(self.broken())
    }

    fn number(&mut self) -> Result<Kind<'a>, Broken> {
        let is_part = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        let rest = self.rest();
        let text = rest.split_once(|c| !is_part(c)).map_or(rest, |(number, _)| number);
        if !text.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(self.broken());
        }
        self.skip(text.len());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_whole = fraction.bytes().all(|digit| digit == b'0');
        Ok(whole.parse().ok().filter(|_| is_whole).map_or(Kind::Other, Kind::Whole))
    }

    fn string(&mut self) -> Result<String, Broken> {
        if self.peek() != Some(b'"') {
            return Err(self.broken());
        }
        self.skip(1);
        let mut text = String::new();
        loop {
            let mut chars = self.rest().chars();
            let Some(c) = chars.next().filter(|c| *c >= ' ') else { return Err(self.broken()) };
            self.skip(c.len_utf8());
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Broken> {
        let c = self.peek().ok_or(self.broken())?;
        self.skip(1);
        Ok(match c {
            b'"' | b'\\' | b'/' => char::from(c),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => self.unicode()?,
            _ => return Err(self.broken()),
        })
    }

    /// Four hexadecimal digits; two such escapes for what is beyond 16 bits (surrogates, RFC 8259, section 7).
    fn unicode(&mut self) -> Result<char, Broken> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).ok_or(self.broken());
        }
        if !self.rest().starts_with("\\u") {
            return Err(self.broken());
        }
        self.skip(2);
        let low = self.hex()?;
        let pair = [high, low].map(|unit| u16::try_from(unit).unwrap_or(0));
        char::decode_utf16(pair).next().and_then(Result::ok).ok_or(self.broken())
    }

    fn hex(&mut self) -> Result<u32, Broken> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(self.broken())?;
        self.skip(4);
        Ok(value)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by a panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The value as a JSON library sees it; `None` where the two may differ (numbers that are not whole).
    fn agrees(ours: &Value<'_>, theirs: &serde_json::Value) -> bool {
        use serde_json::Value as Json;
        match (&ours.kind, theirs) {
            (Kind::Text(a), Json::String(b)) => a == b,
            (Kind::Flag(a), Json::Bool(b)) => a == b,
            (Kind::Whole(a), Json::Number(b)) => b.as_u64() == Some(*a) || b.as_f64() == Some(*a as f64),
            (Kind::Other, Json::Null | Json::Array(_) | Json::Number(_)) => true,
            (Kind::Object(a), Json::Object(b)) => {
                a.iter().all(|(name, value)| b.get(name).is_some_and(|other| agrees(value, other)))
            }
            _ => false,
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (0_u32..100_000).prop_map(|n| f64::from(n).into()),
            "\\PC*|[\"\\\\\\n/ü\u{1f980}]{0,5}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".*", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_a_json_library_writes(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let ours = parse(&text).unwrap();
            prop_assert!(agrees(&ours, &value), "{text} read as {ours:?}");
        }

        #[test]
        fn any_text_is_read_or_refused_and_never_panics(text in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ tn-]{0,40}|.*") {
            if parse(&text).is_err() {
                return Ok(());
            }
            // What we read that a library refuses must be number spellings only, such as 01 or 1-1.
            if serde_json::from_str::<serde_json::Value>(&text).is_err() {
                prop_assert!(text.bytes().any(|byte| byte.is_ascii_digit()), "{text} was read");
            }
        }
    }

    #[test]
    fn surrogate_pairs_and_depth() {
        assert_eq!(parse(r#""\ud83e\udd80""#).unwrap().kind, Kind::Text("🦀".into()));
        assert!(parse(r#""\ud83e""#).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
