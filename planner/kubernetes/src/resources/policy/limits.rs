//! What the API server refuses in a policy.
use crate::resources::validation::{Limit, duration, limit, named, rules, rules_of_fields, short, words};
use foremesh_core::{
    forecast::model::MODEL_NAMES,
    history::KEPT_QUANTILES,
    policy::{
        Mode,
        spec::{
            LONGEST_MS, LONGEST_TRIAL_BODY, LONGEST_TRIAL_MS, MOST_CONDITIONS, MOST_FREEZES, MOST_LETTERS,
            MOST_REQUESTS, MOST_RULES, MOST_SERVICES, MOST_STEPS, SHORTEST_TRIAL_MS, TRIAL_METHODS,
        },
    },
};
use serde_json::json;

const CONDITIONS: [&str; 6] = [
    "predictedLatency",
    "predictedThroughput",
    "predictedAvailability",
    "predictedUsage",
    "predictedExhaustion",
    "costSaving",
];

const WAIVER: &str = "a waiver names who takes the responsibility, and why; fill it in";
/// Letters at most of a text that people write for people.
const MOST_TEXT: usize = 4096;

/// A plain number, as amounts begin with.
const NUMBER: &str = "[0-9]+[.]?[0-9]*";

pub(super) fn limits() -> Vec<Limit> {
    let mut limits = whole();
    limits.extend(trial());
    limits.extend(guards());
    for at in ["rules[]", "rules[].all[]"] {
        limits.extend(condition(at));
    }
    limits
}

fn whole() -> Vec<Limit> {
    let name = "each rule has a name of its own, which decisions are explained by; give it a name";
    vec![
        rules(
            "",
            &[(
                "self.mode != 'auto' || has(self.trial)",
                "mode auto needs a trial in a staging mesh, or somebody who waives it; write for example `trial: {waivedBy: your \
                 name, reason: why}`",
            )],
        ),
        limit("selector.services", json!({"minItems": 1, "maxItems": MOST_SERVICES})),
        limit(
            "selector.services[]",
            json!({"maxLength": MOST_LETTERS, "x-kubernetes-validations": [{
                "rule": "self != '' && self.trim() == self",
                "message": "a name is not empty and has no space around it; write the service's name, with `*` for any part \
                            of it",
            }]}),
        ),
        words("mode", &Mode::ALL.map(Mode::name)),
        limit(
            "rules",
            json!({
                "minItems": 1, "maxItems": MOST_RULES,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            }),
        ),
        named("rules[].name", MOST_LETTERS, name),
        duration("cooldown", 0, LONGEST_MS),
        share("margin.target"),
        share("margin.gain"),
        limit(
            "ramp",
            json!({"maxItems": 100, "x-kubernetes-validations": [{
                "rule": "self.size() > 0 && self.isSorted() && self.all(one, self.exists_one(other, other == one)) && \
                         self[0] >= 1 && self[self.size() - 1] == 100",
                "message": "it must rise from at least 1 and end with 100; write for example `ramp: [10, 25, 50, 100]`",
            }]}),
        ),
        limit("forecast.models", json!({"maxItems": MODEL_NAMES.len(), "x-kubernetes-list-type": "set"})),
        words("forecast.models[]", &MODEL_NAMES),
        rules(
            "priority",
            &[(
                "self >= -1000 && self <= 1000",
                "it must be from -1000 to 1000; choose a number in this range",
            )],
        ),
    ]
}

fn trial() -> Vec<Limit> {
    let rest = ["port", "callees", "duration"].map(|field| format!("has(self.{field})")).join(" || ");
    let requests = "(has(self.requests) && self.requests.size() > 0)";
    let tried = format!("{requests} || (has(self.copySecrets) && self.copySecrets) || {rest}");
    vec![
        rules(
            "trial",
            &[
                (
                    "has(self.waivedBy) == has(self.reason)",
                    "a waiver names who takes the responsibility, and why; fill in both `waivedBy` and `reason`",
                ),
                (
                    &format!("!has(self.waivedBy) || !({tried})"),
                    "it is either waived, or tried with `requests`; leave out one of the two",
                ),
                (
                    &format!("has(self.waivedBy) || has(self.reason) || {requests}"),
                    "a trial needs to know which requests it sends; write `requests: [{path: /...}]`, or waive it: `trial: \
                     {waivedBy: your name, reason: why}`",
                ),
            ],
        ),
        named("trial.waivedBy", MOST_TEXT, WAIVER),
        named("trial.reason", MOST_TEXT, WAIVER),
        limit("trial.requests", json!({"maxItems": MOST_REQUESTS})),
        limit(
            "trial.requests[].path",
            json!({"maxLength": 2048, "x-kubernetes-validations": [{
                "rule": r"self.matches('^/[^\\s]*$')",
                "message": "a path begins with `/` and has no blanks; write for example `/cart`",
            }]}),
        ),
        words("trial.requests[].method", &TRIAL_METHODS),
        limit("trial.requests[].headers", json!({"maxProperties": 64})),
        limit("trial.requests[].body", json!({"maxLength": LONGEST_TRIAL_BODY})),
        rules(
            "trial.requests[].weight",
            &[("self >= 1", "a request that never comes tries nothing; leave the request out")],
        ),
        rules("trial.port", &[("self >= 1 && self <= 65535", "a port is 1 to 65535; name the pods' port")]),
        words("trial.callees", &["none", "production"]),
        duration("trial.duration", SHORTEST_TRIAL_MS, LONGEST_TRIAL_MS),
    ]
}

fn share(at: &str) -> Limit {
    let message = "it must be at least 0 and below 1: a share, 0.2 for 20 %; write it as a share";
    rules(at, &[("self >= 0.0 && self < 1.0", message)])
}

fn guards() -> Vec<Limit> {
    let count = "it must be from 1 to 1000; use `mode: recommend` to move nothing";
    let mut limits: Vec<Limit> = [
        "limits.concurrent.perNode",
        "limits.concurrent.perNamespace",
        "limits.concurrent.all",
        "limits.perDay",
    ]
    .into_iter()
    .map(|at| rules(at, &[("self >= 1 && self <= 1000", count)]))
    .collect();
    let one = "a workload that moves is not moved again before that is over; write 1, or leave it out";
    limits.push(rules("limits.concurrent.perWorkload", &[("self == 1", one)]));
    let weight = "a weight is above 0 and at most 1000000; write how much a request of this tier counts against one of \
                  weight 1";
    for tier in ["tiers.critical", "tiers.standard", "tiers.bestEffort"] {
        limits.push(rules(tier, &[("self > 0.0 && self <= 1000000.0", weight)]));
    }
    limits.extend(freeze());
    limits
}

fn freeze() -> Vec<Limit> {
    let clock = "(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)";
    let between = format!(r"self.matches('^\\s*{clock}\\s*-\\s*{clock}\\s*$')");
    let daily = "(has(self.between) || has(self.days))";
    let cron = "(has(self.cron) || has(self.duration))";
    let once = "(has(self.from) || has(self.to))";
    let one = format!("[{daily}, {cron}, {once}].filter(given, given).size() == 1");
    let date = "it must be a day, or a day and a time; write for example 2026-12-20T18:00";
    let is_date = r"self.matches('^\\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ].*)?\\s*$')";
    vec![
        limit(
            "freeze",
            json!({
                "maxItems": MOST_FREEZES,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            }),
        ),
        rules(
            "freeze[]",
            &[
                (
                    &one,
                    "it needs `between`, or `cron` and `duration`, or `from` and `to`, and nothing else of them; write for \
                     example `between: \"22:00-06:00\"`",
                ),
                ("!has(self.days) || has(self.between)", "it needs `between` for its `days`; add it"),
                ("has(self.cron) == has(self.duration)", "it needs `cron` and `duration`; add the other one"),
                ("has(self.from) == has(self.to)", "it needs `from` and `to`; add the other one"),
            ],
        ),
        named(
            "freeze[].name",
            MOST_LETTERS,
            "each window has a name of its own, which decisions are explained by; give it a name",
        ),
        short(
            "freeze[].between",
            &[(
                &between,
                "it must be two times of day; write them as `\"22:00-06:00\"`, from 00:00 to 24:00",
            )],
        ),
        limit("freeze[].days", json!({"minItems": 1, "maxItems": 7, "x-kubernetes-list-type": "set"})),
        words("freeze[].days[]", &["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
        limit("freeze[].cron", json!({"minLength": 1, "maxLength": MOST_LETTERS})),
        duration("freeze[].duration", 60_000, LONGEST_MS),
        short("freeze[].from", &[(is_date, date)]),
        short("freeze[].to", &[(is_date, date)]),
        named(
            "freeze[].timeZone",
            MOST_LETTERS,
            "no time zone has that name; use a name of the IANA database, such as Europe/Berlin",
        ),
    ]
}

/// Limits of the conditions of a rule, or of a part of `all`.
fn condition(at: &str) -> Vec<Limit> {
    let mut limits = Vec::new();
    let has = |name: &str| format!("has(self.{name})");
    let mut given: Vec<String> = CONDITIONS.iter().map(|name| has(name)).collect();
    let mut or = "";
    if at == "rules[]" {
        given.push(has("all"));
        or = ", all";
        limits.push(limit("rules[].all", json!({"minItems": 2, "maxItems": MOST_CONDITIONS})));
    }
    let message = format!(
        "it must be exactly one of {}{or}; conditions that must hold together go into `all`",
        CONDITIONS.join(", ")
    );
    let one = format!("[{}].filter(given, given).size() == 1", given.join(", "));
    limits.push(rules(at, &[(&one, &message)]));

    let field = |name: &str| format!("{at}.{name}");
    let quantiles = KEPT_QUANTILES.map(|quantile| quantile.to_string()).join(", ");
    limits.extend([
        rules(
            field("predictedLatency.quantile"),
            &[(
                &format!("self in [{quantiles}]"),
                &format!("latency is kept at {quantiles}; use one of these"),
            )],
        ),
        duration(field("predictedLatency.above"), 1, 3_600_000),
        part(field("predictedThroughput.belowDemandBy")),
        part(field("predictedAvailability.below")),
        rules(
            field("costSaving.atLeast"),
            &[(
                "self > 0.0",
                "a saving is more than 0 money per hour; write what makes a move worth its risk",
            )],
        ),
    ]);
    limits.extend(usage(&field("predictedUsage")));
    let exhaustion = field("predictedExhaustion");
    limits.extend([
        words(format!("{exhaustion}.of"), &["node", "workload"]),
        words(format!("{exhaustion}.resource"), &["cpu", "memory", "disk"]),
        rules_of_fields(
            exhaustion,
            &[(
                "self.of != 'workload' || self.resource == 'cpu'",
                "resource",
                "of a workload only cpu is known to run out; write `resource: cpu`, or `of: node`",
            )],
        ),
    ]);
    for name in &CONDITIONS[..5] {
        let lasting = format!("1 <= self.steps && self.steps <= self.of && self.of <= {MOST_STEPS}");
        limits.extend([
            rules(
                field(&format!("{name}.for")),
                &[(
                    &lasting,
                    &format!(
                        "it must be 1 <= steps <= of <= {MOST_STEPS}; write `for: {{steps: 3, of: 5}}` for 3 of 5 steps"
                    ),
                )],
            ),
            duration(field(&format!("{name}.within")), 1_000, LONGEST_MS),
            rules(
                field(&format!("{name}.probability")),
                &[(
                    "self > 0.0 && self < 1.0",
                    "it must be above 0 and below 1, as no forecast is certain; use 0.5 for more likely than not",
                )],
            ),
        ]);
    }
    limits
}

/// A share above 0 and below 1, in percent.
fn part(at: String) -> Limit {
    let percent = format!(r"self.matches('^\\s*{NUMBER}\\s*%\\s*$')");
    let value = format!("double(self.find('{NUMBER}'))");
    let rule = format!("{percent} && {value} > 0.0 && {value} < 100.0");
    let message = "it must be a share above 0% and below 100%; write it in percent, such as `99.9%` or `10%`";
    short(at, &[(&rule, message)])
}

fn usage(at: &str) -> Vec<Limit> {
    let above = |form: &str| format!(r"self.above.matches('^\\s*{NUMBER}\\s*{form}\\s*$')");
    let bytes = "(Ki|Mi|Gi|Ti|KiB|MiB|GiB|TiB|kB|MB|GB|TB|k|M|G|T|B)?";
    let share = above("%");
    let value = format!("double(self.above.find('{NUMBER}'))");
    let amount = format!(
        "(self.resource == 'cpu' && {}) || (self.resource == 'memory' && {}) || (self.resource == 'disk_io' && {})",
        above("m?"),
        above(bytes),
        above(&format!("{bytes}/s")),
    );
    let form = format!("{share} || {amount}");
    let range = format!("!({form}) || ({value} > 0.0 && (!{share} || {value} <= 1000.0))");
    let base = "!has(self.shareOf) || (self.of == 'node' ? self.shareOf == 'capacity' : self.shareOf == 'request' || \
                (self.shareOf == 'limit' && self.resource == 'cpu'))";
    vec![
        words(format!("{at}.of"), &["node", "workload"]),
        words(format!("{at}.resource"), &["cpu", "memory", "disk_io"]),
        words(format!("{at}.shareOf"), &["capacity", "request", "limit"]),
        short(format!("{at}.above"), &[]),
        rules_of_fields(
            at,
            &[
                (
                    &form,
                    "above",
                    "it must be a share such as `80%`, or `800m` or `1.5` for CPU, `512Mi` or `2GB` for bytes, `50MB/s` for bytes \
                     per second; write one of these",
                ),
                (
                    &range,
                    "above",
                    "it must be above 0, and at most 1000% of something; choose a value in this range",
                ),
                (
                    &format!("!{share} || self.resource != 'disk_io'"),
                    "above",
                    "nobody tells how much of disk_io there is; write an amount such as `50MB/s`",
                ),
                (
                    &format!("!has(self.shareOf) || {share}"),
                    "shareOf",
                    "`above` is an amount, not a share of something; leave it out",
                ),
                (
                    base,
                    "shareOf",
                    "use of a node is a share of its capacity, CPU of a workload of its request or limit, memory of its \
                     request; use that, or leave it out",
                ),
            ],
        ),
    ]
}
