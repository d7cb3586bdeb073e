//! What a policy may say about the trial.
use super::{Check, quoted};
use crate::policy::{
    Callees, Mode, TrialRequest, TrialTerms, Waiver,
    spec::{TrialRequestSpec, TrialSpec, TrialTermsSpec},
};

const WAIVE: &str = "waive it: `trial: {waivedBy: your name, reason: why}`";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Longest body of a request, in bytes.
const LONGEST_BODY: usize = 64 * 1024;
/// Shortest load that may be allowed, in milliseconds.
const SHORTEST_MS: i64 = 10_000;
/// Longest one.
const LONGEST_MS: i64 = 3_600_000;

impl Check {
    /// The waiver, or how it is tried; neither when nothing is said, or something wrong.
    pub(in crate::policy::spec) fn trial(
        &mut self,
        mode: Option<Mode>,
        trial: Option<&TrialSpec>,
    ) -> (Option<Waiver>, Option<TrialTerms>) {
        match trial {
            None if mode == Some(Mode::Auto) => {
                let limit = "mode auto needs a trial in a staging mesh, and that needs requests";
                let remedy = format!("write `trial: {{requests: [{{path: /...}}]}}`, or {WAIVE}");
                self.problems.add("spec.trial", "missing", limit, &remedy);
                (None, None)
            }
            None => (None, None),
            Some(TrialSpec::Word(word)) => {
                let limit = "a trial needs to know which requests it sends";
                let remedy = format!("write `trial: {{requests: [{{path: /...}}]}}`, or {WAIVE}");
                self.problems.add("spec.trial", quoted(word), limit, &remedy);
                (None, None)
            }
            Some(TrialSpec::Terms(terms)) if terms.waived_by.is_some() || terms.reason.is_some() => {
                (self.waiver(terms), None)
            }
            Some(TrialSpec::Terms(terms)) => (None, Some(self.terms(terms))),
        }
    }

    fn waiver(&mut self, terms: &TrialTermsSpec) -> Option<Waiver> {
        let other = TrialTermsSpec { waived_by: None, reason: None, ..terms.clone() };
        if other != TrialTermsSpec::default() {
            let limit = "it is either waived, or tried with `requests`";
            self.problems.add("spec.trial", "both", limit, "leave out one of the two");
        }
        for (path, text) in [("spec.trial.waivedBy", &terms.waived_by), ("spec.trial.reason", &terms.reason)]
        {
            if text.as_ref().is_none_or(|text| text.trim().is_empty()) {
                let limit = "a waiver names who takes the responsibility, and why";
                self.problems.add(path, "empty", limit, "fill it in");
            }
        }
        Some(Waiver { by: terms.waived_by.clone()?, reason: terms.reason.clone()? })
    }

    fn terms(&mut self, terms: &TrialTermsSpec) -> TrialTerms {
        if terms.requests.is_empty() {
            let limit = "a trial needs to know which requests it sends";
            let remedy = format!("write `requests: [{{path: /...}}]`, or {WAIVE}");
            self.problems.add("spec.trial.requests", "empty", limit, &remedy);
        }
        for (index, request) in terms.requests.iter().enumerate() {
            self.request(&format!("spec.trial.requests[{index}]"), request);
        }
        let callees = match terms.callees.as_deref() {
            None | Some("none") => Callees::None,
            Some("production") => Callees::Production,
            Some(word) => {
                let limit = "the copies call `none` or `production`";
                self.problems.add("spec.trial.callees", quoted(word), limit, "choose one of the two");
                Callees::None
            }
        };
        let port = terms.port.map(u16::try_from);
        if let Some(wrong) = terms.port.filter(|port| !(1..=65535).contains(port)) {
            self.problems.add(
                "spec.trial.port",
                wrong.to_string(),
                "a port is 1 to 65535",
                "name the pods' port",
            );
        }
        let duration_ms = terms
            .duration
            .as_ref()
            .and_then(|text| self.duration("spec.trial.duration", text, SHORTEST_MS, LONGEST_MS));
        TrialTerms {
            requests: terms.requests.iter().map(checked).collect(),
            port: port.and_then(Result::ok),
            callees,
            copy_secrets: terms.copy_secrets,
            duration_ms,
        }
    }

    fn request(&mut self, at: &str, request: &TrialRequestSpec) {
        let mut wrong = |field: &str, value: String, limit: &str, remedy: &str| {
            self.problems.add(&format!("{at}.{field}"), value, limit, remedy);
        };
        let path = &request.path;
        if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            wrong(
                "path",
                quoted(path),
                "a path begins with `/` and has no blanks",
                "write for example `/cart`",
            );
        }
        if !METHODS.contains(&request.method.as_str()) {
            let limit = format!("a method is one of {}", METHODS.join(", "));
            wrong("method", quoted(&request.method), &limit, "write it in capitals");
        }
        if request.weight == 0 {
            wrong(
                "weight",
                "0".to_owned(),
                "a request that never comes tries nothing",
                "leave the request out",
            );
        }
        let bytes = request.body.as_ref().map_or(0, String::len);
        if bytes > LONGEST_BODY {
            wrong("body", format!("{bytes} bytes"), "a body has at most 65536", "send a shorter one");
        }
    }
}

fn checked(request: &TrialRequestSpec) -> TrialRequest {
    let TrialRequestSpec { path, method, headers, body, weight } = request.clone();
    TrialRequest { path, method, headers, body, weight }
}
