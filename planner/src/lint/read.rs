//! From texts to policies, with every problem at its place.
use super::{
    findings::{Findings, Severity},
    found::Found,
    judged,
    spans::{Marked, Place, documents},
};
use crate::policies::checked;
use foremesh_calendar::{CalendarDocument, KIND as CALENDAR};
use foremesh_core::{
    document::SpecProblem,
    policy::{PolicyDocument, spec::KIND as POLICY},
    time::Timestamp,
    topology::Snapshot,
};
use serde::de::DeserializeOwned;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Linted {
    pub(super) findings: Findings,
    pub(super) policies: Vec<Found>,
}

/// Everything that can be said of one text, at a moment. `name` stands for the file.
pub fn lint_text(name: &str, text: &str, snapshot: Option<&Snapshot>, now: Timestamp) -> Findings {
    let mut linted = Linted::default();
    linted.read(name, text);
    judged(linted, snapshot, now)
}

impl Linted {
    /// Reads the documents of one file.
    pub(super) fn read(&mut self, file: &str, text: &str) {
        let lines = text.lines().map(str::to_owned).collect();
        self.findings.texts.insert(file.to_owned(), lines);
        let marked = match documents(text) {
            Ok(marked) => marked,
            Err((why, place)) => {
                let message = format!("the file is not YAML: {why}; correct it here or just before");
                return self.error("yaml", file, place, message);
            }
        };
        if marked.is_empty() {
            self.error("empty", file, Place { line: 1, column: 1, length: 1 }, "the file holds no document");
        }
        for (document, marked) in yaml_serde::Deserializer::from_str(text).zip(marked) {
            match marked.text("kind") {
                Some(kind) if kind == CALENDAR => self.calendar(file, document, &marked),
                _ => self.policy(file, document, marked),
            }
        }
    }

    fn policy(&mut self, file: &str, document: yaml_serde::Deserializer<'_>, marked: Marked) {
        let Some(document) = self.parsed::<PolicyDocument>(file, document, &marked) else { return };
        match checked(&document) {
            Err(problems) => self.problems(file, &marked, &problems),
            Ok(policy) => {
                if let Some(first) = self.policies.iter().find(|other| other.policy.id == policy.id) {
                    let message = format!(
                        "policy `{}` is in `{}` already; give one of them another name",
                        policy.id, first.file
                    );
                    self.error("twice", file, marked.find("metadata.name"), message);
                }
                self.policies.push(Found { file: file.to_owned(), policy, document: marked });
            }
        }
    }

    fn calendar(&mut self, file: &str, document: yaml_serde::Deserializer<'_>, marked: &Marked) {
        let Some(document) = self.parsed::<CalendarDocument>(file, document, marked) else { return };
        if let Err(problems) = foremesh_calendar::validate(&document) {
            self.problems(file, marked, &problems);
        }
    }

    fn problems(&mut self, file: &str, marked: &Marked, problems: &[SpecProblem]) {
        for problem in problems {
            self.error("spec", file, marked.find(&problem.path), problem.to_string());
        }
    }

    fn parsed<T: DeserializeOwned>(
        &mut self,
        file: &str,
        document: yaml_serde::Deserializer<'_>,
        marked: &Marked,
    ) -> Option<T> {
        match T::deserialize(document) {
            Ok(read) => Some(read),
            Err(error) => {
                let (message, place) = placed(&error, marked);
                self.error("shape", file, place, message);
                None
            }
        }
    }

    fn error(&mut self, code: &'static str, file: &str, place: Place, message: impl Into<String>) {
        self.findings.add(Severity::Error, code, file, place, message);
    }
}

/// What the reader says, and where it means. It names the path to what it was reading, and the field that is unknown or
/// missing, which is more exact than the position that it gives.
fn placed(error: &yaml_serde::Error, marked: &Marked) -> (String, Place) {
    let said = error.to_string();
    let at = said.rfind(" at line ").filter(|at| said[*at..].contains(" column "));
    let text = at.map_or(said.as_str(), |at| &said[..at]);
    let (path, rest) = match text.split_once(": ") {
        Some((path, rest)) if !path.contains(' ') => (path, rest),
        _ => ("", text),
    };
    let unknown = rest.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let place = unknown.and_then(|(field, _)| marked.find_key(path, field)).or_else(|| {
        // A path tells the field; without one only the reader's own position does.
        let given = error.location().map(|at| Place { line: at.line(), column: at.column(), length: 1 });
        if path.is_empty() { given } else { Some(marked.find(path)) }
    });
    let kind = marked.text("kind").unwrap_or(POLICY);
    let place = place.unwrap_or_else(|| marked.find(""));
    (format!("the {kind} has a field that is not as it must be: {text}"), place)
}
