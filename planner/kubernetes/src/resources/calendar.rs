//! The custom resource `EventCalendar`.
use super::{
    Column, Definition,
    status::{ACCEPTED, ACCEPTED_REASON, status},
    structural::structural,
    validation::{Limit, apply, duration, limit, named, rules, short},
};
use foremesh_calendar::{CalendarSpec, KIND, LONGEST_MS, MOST_EVENTS};
use foremesh_core::policy::spec::MOST_LETTERS;
use serde_json::{Value, json};

/// Its plural, as the API server has it in addresses.
pub const PLURAL: &str = "eventcalendars";

const ZONE: &str = "no such time zone is known; name it as IANA does, such as Europe/Berlin or UTC";
/// A day, or a day and a time, perhaps with an offset.
const TIME: &str = r"^\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ][0-9]{1,2}:[0-9]{1,2}.*)?\s*$";
const DAY_MS: i64 = 86_400_000;

/// Its definition.
pub fn definition() -> Definition {
    Definition {
        kind: KIND,
        plural: PLURAL,
        short_name: "evcal",
        description: "Known events: what takes place when, and on what it has an effect. A calendar of a namespace has effects \
                      on services and workloads of that namespace; one of the planner's namespace may have effects on \
                      anything. The same document may be a file of the planner.",
        columns: vec![
            Column {
                name: "Events",
                kind: "integer",
                path: ".status.events",
                description: "How many events it has.",
                wide: false,
            },
            Column {
                name: "Next",
                kind: "string",
                path: ".status.next.start",
                description: "When the next of them begins.",
                wide: false,
            },
            Column {
                name: "Next Event",
                kind: "string",
                path: ".status.next.event",
                description: "The next of them.",
                wide: true,
            },
            ACCEPTED,
            ACCEPTED_REASON,
        ],
        spec: spec().0,
        status: status(&[
            (
                "events",
                json!({"type": "integer", "format": "int64", "description": "How many events it has."}),
            ),
            (
                "next",
                json!({
                    "type": "object",
                    "description": "What takes place next, within a year.",
                    "properties": {
                        "event": {"type": "string", "description": "The event."},
                        "start": {"type": "string", "format": "date-time", "description": "Its first moment."},
                    },
                }),
            ),
        ]),
    }
}

/// The schema, and limits that found no field.
fn spec() -> (Value, Vec<String>) {
    let mut schema = structural::<CalendarSpec>();
    let missing = apply(&mut schema, limits());
    (schema, missing)
}

fn limits() -> Vec<Limit> {
    let mut limits = vec![
        named("zone", MOST_LETTERS, ZONE),
        limit(
            "events",
            json!({
                "maxItems": MOST_EVENTS,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            }),
        ),
        rules(
            "events[]",
            &[(
                "!has(self.when.cron) || has(self.duration)",
                "an event that states no end needs a length; add for example `duration: 1h`",
            )],
        ),
        named(
            "events[].name",
            MOST_LETTERS,
            "each event has a name of its own, which forecasts are explained by; give it a name",
        ),
        named("events[].zone", MOST_LETTERS, ZONE),
        duration("events[].duration", 1_000, LONGEST_MS),
        limit("events[].tags[]", json!({"pattern": r"\S"})),
        effect(),
        limit("events[].cancelled[]", json!({"pattern": TIME})),
        // `at` may be a text or a mapping, which rules in CEL cannot look at.
        limit("events[].when", json!({"minProperties": 1, "maxProperties": 1})),
        limit("events[].when.at", json!({"pattern": TIME, "required": ["start", "end"]})),
        limit("events[].when.at.start", json!({"pattern": TIME})),
        limit("events[].when.at.end", json!({"pattern": TIME})),
        limit("events[].when.cron", json!({"minLength": 1, "maxLength": MOST_LETTERS})),
        limit(
            "events[].when.rrule",
            json!({"maxLength": 4096, "x-kubernetes-validations": [{
                "rule": "self.upperAscii().contains('DTSTART')",
                "message": "an event needs a DTSTART; add a line such as `DTSTART;TZID=Europe/Berlin:20260105T090000`",
            }]}),
        ),
        rules(
            "events[].when.ical",
            &[
                ("!has(self.file)", "a custom resource has no files; use `url` or `text`"),
                (
                    "has(self.file) || has(self.url) != has(self.text)",
                    "write exactly one of `url` and `text`",
                ),
            ],
        ),
        limit(
            "events[].when.ical.url",
            json!({"maxLength": 2048, "x-kubernetes-validations": [{
                "rule": "self.startsWith('https://') || self.startsWith('http://')",
                "message": "an address begins with https:// or http://; write `https://` for `webcal://`",
            }]}),
        ),
        duration("events[].when.ical.refresh", 60_000, 7 * DAY_MS),
    ];
    for list in ["services", "nodes", "workloads", "metrics"] {
        limits.push(limit(format!("events[].scope.{list}[]"), json!({"minLength": 1})));
    }
    limits
}

fn effect() -> Limit {
    let factor = r"self.matches('^\\s*[xX×]\\s*[0-9]*[.]?[0-9]+([eE][+-]?[0-9]+)?\\s*$')";
    let value = "double(self.find('[0-9]*[.]?[0-9]+([eE][+-]?[0-9]+)?'))";
    let difference = r"self.matches('^\\s*[+-]([0-9]+[.]?[0-9]*|[.][0-9]+)\\s*[A-Za-z0-9_%/]*\\s*$')";
    let rule = format!("{difference} || ({factor} && {value} >= 0.001 && {value} <= 1000.0)");
    let message = "an effect is a factor from x0.001 to x1000 or a difference; write for example x1.8, \"+200\" or \"+200 ms\"";
    short("events[].expectedEffect", &[(&rule, message)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_limit_finds_its_field() {
        assert_eq!(super::spec().1, [""; 0]);
    }
}
