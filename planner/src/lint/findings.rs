//! What was found, for people and for programs.
use super::{explained::Explained, spans::Place};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A planner refuses the file.
    Error,
    /// A planner takes it, and it does not do what somebody wants.
    Warning,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What kind of finding, such as `loop`; stable, so that tools can leave some out.
    pub code: &'static str,
    /// The file.
    pub file: String,
    /// Where in it.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong, with the remedy.
    pub message: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// In the order of the files and lines.
    pub findings: Vec<Finding>,
    /// What each rule does.
    pub rules: Vec<Explained>,
    /// Lines of the files, for excerpts.
    #[serde(skip)]
    pub(super) texts: BTreeMap<String, Vec<String>>,
}

impl Findings {
    /// How many there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        file: &str,
        place: Place,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.findings.push(Finding { severity, code, file: file.to_owned(), place, message });
    }

    pub(super) fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            (&a.file, a.place, a.severity, &a.message).cmp(&(&b.file, b.place, b.severity, &b.message))
        });
        self.findings.dedup();
    }

    fn excerpt(&self, finding: &Finding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, length } = finding.place;
        let Some(text) = self.texts.get(&finding.file).and_then(|lines| lines.get(line.checked_sub(1)?))
        else {
            return Ok(());
        };
        let number = line.to_string();
        let width = number.len();
        // Tabs count as one character, so they are shown as one.
        let shown: String = text.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let rest = shown.chars().count().saturating_sub(column - 1).max(1);
        let carets = "^".repeat(length.min(rest));
        writeln!(f, "{:width$} |", "")?;
        writeln!(f, "{number} | {shown}")?;
        writeln!(f, "{:width$} | {:skip$}{carets}", "", "", skip = column - 1)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}[{}]: {}", finding.severity.name(), finding.code, finding.message)?;
            writeln!(f, " --> {}:{}:{}", finding.file, finding.place.line, finding.place.column)?;
            self.excerpt(finding, f)?;
            writeln!(f)?;
        }
        let mut policy = None;
        for rule in &self.rules {
            if policy != Some(&rule.policy) {
                writeln!(f, "policy `{}` ({}:{})", rule.policy, rule.file, rule.place.line)?;
                policy = Some(&rule.policy);
            }
            writeln!(f, "  {}: {}", rule.rule, rule.says)?;
        }
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        writeln!(f, "{} rules, {errors} errors, {warnings} warnings", self.rules.len())
    }
}
