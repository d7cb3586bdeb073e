//! A record of what the demo shows: an asciicast of version 2, which players replay, and its last picture as an SVG.
use anyhow::Context as _;
use serde_json::json;
use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};
use tokio::time::Instant;

/// Columns and lines of the terminal that is recorded.
const SIZE: (usize, usize) = (120, 46);
/// Width and height of a character in the SVG, and of the space around all of them.
const CELL: (f64, f64, f64) = (8.4, 18.0, 16.0);

/// A record that goes on.
#[derive(Debug)]
pub(super) struct Cast {
    path: PathBuf,
    file: BufWriter<File>,
    begun: Instant,
    picture: Vec<String>,
}

impl Cast {
    /// Begins a record at a time in seconds since the Unix epoch.
    pub(super) fn create(path: &Path, unix_s: u64) -> anyhow::Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("`{}` cannot be written; name another file", path.display()))?;
        let mut cast = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            begun: Instant::now(),
            picture: Vec::new(),
        };
        let (width, height) = SIZE;
        let header = json!({
            "version": 2, "width": width, "height": height, "timestamp": unix_s, "title": "foremesh demo",
            "env": {"TERM": "xterm-256color"},
        });
        writeln!(cast.file, "{header}")?;
        Ok(cast)
    }

    /// Records what is written to the terminal; `picture` is what stands at its end then.
    pub(super) fn write(&mut self, text: &str, picture: &[String]) {
        self.picture = picture.to_vec();
        // What could not be written is said at the end, when the rest cannot either.
        let _ = self.event(text);
    }

    fn event(&mut self, text: &str) -> std::io::Result<()> {
        let at = self.begun.elapsed().as_secs_f64();
        // A terminal that is played knows no newline of its own.
        let event = json!([(at * 1e3).round() / 1e3, "o", text.replace('\n', "\r\n")]);
        writeln!(self.file, "{event}")
    }

    /// Ends the record with a last text, and draws it below the last picture.
    pub(super) fn finish(mut self, text: &str) -> anyhow::Result<()> {
        let written = self.event(text).and_then(|()| self.file.flush());
        written.with_context(|| format!("`{}` could not be written to its end", self.path.display()))?;
        let drawing = self.path.with_extension("svg");
        let lines = self.picture.iter().map(String::as_str).chain(text.lines());
        fs::write(&drawing, svg(lines))
            .with_context(|| format!("`{}` cannot be written", drawing.display()))?;
        eprintln!("recorded in {} and {}", self.path.display(), drawing.display());
        Ok(())
    }
}

/// Lines of a terminal as a drawing.
fn svg<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.collect();
    let (wide, high, around) = CELL;
    let columns = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let (width, height) = (columns as f64 * wide + 2.0 * around, lines.len() as f64 * high + 2.0 * around);
    let mut drawn = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
         {height:.0}\"><rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#1d1f21\"/><g font-family=\"ui-monospace, Menlo, \
         Consolas, monospace\" font-size=\"14\" fill=\"#e6e6e6\" xml:space=\"preserve\">"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = around + (number as f64 + 0.75) * high;
        let text = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        drawn.extend([format!("<text x=\"{around:.0}\" y=\"{y:.1}\">"), text, "</text>".to_owned()]);
    }
    drawn + "</g></svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_header_and_events_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("demo.cast");
        let mut cast = Cast::create(&path, 1_800_000_000).unwrap();
        cast.write("first\n", &["first".to_owned()]);
        cast.write("\x1b[1Asecond\n", &["2 < 3".to_owned()]);
        cast.finish("the end\n").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["version"], &lines[0]["timestamp"]), (&json!(2), &json!(1_800_000_000)));
        let texts: Vec<_> = lines[1..].iter().map(|event| event[2].as_str().unwrap()).collect();
        assert_eq!(texts, ["first\r\n", "\x1b[1Asecond\r\n", "the end\r\n"]);
        let times: Vec<f64> = lines[1..].iter().map(|event| event[0].as_f64().unwrap()).collect();
        assert!(times.is_sorted() && lines[1..].iter().all(|event| event[1] == "o"), "{times:?}");
        let drawing = fs::read_to_string(directory.path().join("demo.svg")).unwrap();
        assert!(drawing.contains(">2 &lt; 3</text>") && drawing.contains(">the end</text>"), "{drawing}");
    }
}
