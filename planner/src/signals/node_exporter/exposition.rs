//! The text format that exporters answer with: `name{label="value",…} number [milliseconds]`, one sample a line.
//!
//! As in <https://prometheus.io/docs/instrumenting/exposition_formats/>. Lines are read one at a time, so that a text needs no
//! memory beside its own, however many series it has.
use std::borrow::Cow;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of a label; empty when it has none, which is the same to Prometheus.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| value)
    }
}

/// A line that is not of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad<'a> {
    /// Its number, from 1.
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// Every line that should be a sample, in order.
pub(super) fn parse(text: &str) -> impl Iterator<Item = Result<Sample<'_>, Bad<'_>>> {
    let lines = text.lines().map(str::trim).zip(1..);
    let samples = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    samples.map(|(text, line)| sample(text).ok_or(Bad { line, text }))
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut labels = Vec::new();
    rest = rest.trim_start();
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            inner = inner.trim_start_matches([' ', '\t', ',']);
            if let Some(after) = inner.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = inner.split_once('=')?;
            let (value, after) = quoted(after.trim_start())?;
            labels.push((label.trim(), value));
            inner = after;
        }
    }
    let mut words = rest.split_ascii_whitespace();
    let value = number(words.next()?)?;
    // A time may follow, in milliseconds; OpenMetrics writes seconds, and may add an exemplar.
    let follows = words.next();
    follows.is_none_or(|word| word == "#" || word.parse::<f64>().is_ok()).then_some(Sample {
        name,
        labels,
        value,
    })
}

/// A text in quotes at the start, without its escapes, and what follows.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let text = text.strip_prefix('"')?;
    let end = text.find(['"', '\\'])?;
    if text.get(end..)?.starts_with('"') {
        return Some((Cow::Borrowed(text.get(..end)?), text.get(end + 1..)?));
    }
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Cow::Owned(value), text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn number(word: &str) -> Option<f64> {
    match word {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // Rust reads `inf` and `nan` too, which the format does not know.
        other if other.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => other.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(text: &str) -> (Vec<Sample<'_>>, Vec<Bad<'_>>) {
        let (samples, bad): (Vec<_>, Vec<_>) = parse(text).partition(Result::is_ok);
        (samples.into_iter().flatten().collect(), bad.into_iter().filter_map(Result::err).collect())
    }

    #[test]
    fn lines_of_the_format_and_others() {
        let (samples, bad) = sorted(concat!(
            "# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.5\n\n",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1.5e+06 1700000000000\n",
            "path{ dir = \"C:\\\\DIR\\n\" , q=\"say \\\"hi\\\"\", } +Inf\n",
            "openmetrics_total 3 # {trace=\"a\"} 1\n",
            "no_value\nbad{a=\"b} 1\n1digit 2\nword five\nword 5 six\n",
        ));
        let lines: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [8, 9, 10, 11, 12]);
        assert_eq!(bad[0].text, "no_value");
        let values: Vec<(&str, f64)> = samples.iter().map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(
            values,
            [
                ("node_load1", 0.5),
                ("node_cpu_seconds_total", 1.5e6),
                ("path", f64::INFINITY),
                ("openmetrics_total", 3.0)
            ]
        );
        assert_eq!(
            (samples[1].label("cpu"), samples[1].label("mode"), samples[1].label("none")),
            ("0", "idle", "")
        );
        assert_eq!((samples[2].label("dir"), samples[2].label("q")), ("C:\\DIR\n", "say \"hi\""));
    }

    fn escaped(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            // A carriage return would end a line for `lines`; exporters do not write one raw.
            labels in prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "[^\r]{0,12}", 0..5),
            value in any::<f64>().prop_filter("a number", |value| value.is_finite()),
        ) {
            let written: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let text = format!("{name}{{{}}} {value:?}\n", written.join(","));
            let (samples, bad) = sorted(&text);
            prop_assert_eq!((samples.len(), bad.len()), (1, 0), "{}", text);
            prop_assert_eq!(samples[0].name, &name);
            prop_assert_eq!(samples[0].value.to_bits(), value.to_bits());
            for (label, value) in &labels {
                prop_assert_eq!(samples[0].label(label), value);
            }
        }

        #[test]
        fn no_bytes_break_it(text in "\\PC{0,80}|[a-z{}=\",\\\\ 0-9.\n]{0,80}") {
            prop_assert!(parse(&text).count() <= text.lines().count());
        }
    }
}
