//! What mesh and scenario files may leave out, and what is said about those that are wrong.

use std::error::Error;
use std::path::PathBuf;

use foremesh_world::{Mesh, Scenario, World};

use crate::samples::{STILL, mesh, sample};

/// The error with its causes.
fn said(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn read_mesh(text: &str) -> Result<Mesh, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.json");
    std::fs::write(&path, text).unwrap();
    Mesh::read(&path).map_err(|error| said(&error))
}

fn read_scenario(text: &str) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, text).unwrap();
    Scenario::read(&path).map_err(|error| said(&error))
}

#[test]
fn a_mesh_that_is_wrong_is_refused_with_a_remedy() {
    let two = r#""services": [{"name": "a"}, {"name": "b"}]"#;
    for (text, says) in [
        ("{", vec!["line 1"]),
        (r#"{"incidents": {"2022-08-22": []}}"#, vec!["no `services`", "a list of incidents"]),
        (r#"{"services": []}"#, vec!["no `services`"]),
        (r#"{"services": [{"role": "cache"}]}"#, vec!["line 1", "missing field `name`"]),
        (r#"{"services": [{"name": "a"}, {"name": "a"}]}"#, vec!["`a` appears twice"]),
        (r#"{"services": [{"name": "a", "replicas": -1}]}"#, vec!["service `a`", "replicas -1", "0 to"]),
        (&format!(r#"{{{two}, "edges": [{{"from": "a", "to": "c"}}]}}"#), vec!["edge `a` to `c`", "`c`"]),
        (
            &format!(r#"{{{two}, "edges": [{{"from": "a", "to": "b", "mode": "later"}}]}}"#),
            vec!["edge `a` to `b`", "mode `later`", "`sync` or `async`"],
        ),
        (
            &format!(r#"{{{two}, "edges": [{{"from": "a", "to": "b", "calls_per_caller_request": -2}}]}}"#),
            vec!["calls_per_caller_request -2"],
        ),
        (
            &format!(r#"{{{two}, "operations": [{{"name": "x", "entry": "z"}}]}}"#),
            vec!["operation `x`", "`z`"],
        ),
        (
            &format!(r#"{{{two}, "operations": [{{"name": "x", "entry": "a", "weight": 0}}]}}"#),
            vec!["weight 0", "above 0"],
        ),
        (&format!(r#"{{{two}, "entry_points": ["c"]}}"#), vec!["entry point", "`c`"]),
    ] {
        let error = read_mesh(text).unwrap_err();
        for part in says {
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(error.contains("mesh.json"), "{error}");
    }
    let missing = said(&Mesh::read(PathBuf::from("nowhere.json")).unwrap_err());
    assert!(missing.contains("nowhere.json"), "{missing}");
}

#[test]
fn a_mesh_may_leave_out_nearly_everything() {
    let one = read_mesh(r#"{"services": [{"name": "a", "role": null, "cpu_request_m": null}], "other": 1}"#)
        .unwrap();
    assert_eq!((one.operations.len(), one.operations[0].entry, one.name.as_str()), (1, 0, "mesh"));
    // Null calls are one call; those that nobody calls are entries, weighed by their measured rates.
    let text = r#"{
        "services": [{"name": "a", "requests_per_s": 3}, {"name": "b"}, {"name": "c", "requests_per_s": 1}],
        "edges": [{"from": "a", "to": "b", "calls_per_caller_request": null, "mode": null},
                  {"from": "c", "to": "b", "calls_per_caller_request": 2}]}"#;
    let mesh = read_mesh(text).unwrap();
    let operations: Vec<_> =
        mesh.operations.iter().map(|it| (it.name.to_string(), it.share, it.visits.clone())).collect();
    assert_eq!(
        operations,
        [("a".to_owned(), 0.75, vec![1.0, 1.0, 0.0]), ("c".to_owned(), 0.25, vec![0.0, 2.0, 1.0])]
    );
}

#[test]
fn what_closes_a_cycle_is_left_out() {
    let text = r#"{
        "services": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
        "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}, {"from": "c", "to": "a"},
                  {"from": "b", "to": "b"}]}"#;
    let mesh = read_mesh(text).unwrap();
    let left_out: Vec<_> = mesh.left_out.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    assert_eq!(left_out, ["c-a", "b-b"]);
    assert_eq!(mesh.operations[0].visits, [1.0, 1.0, 1.0]);
    assert_eq!(mesh.order, [0, 1, 2]);
}

#[test]
fn a_deep_chain_does_not_overflow() {
    let services: Vec<String> = (0..20_000).map(|at| format!(r#"{{"name": "s{at}"}}"#)).collect();
    let edges: Vec<String> = (1..20_000)
        .map(|at| format!(r#"{{"from": "s{}", "to": "s{at}", "calls_per_caller_request": 0.5}}"#, at - 1))
        .collect();
    let text = format!(r#"{{"services": [{}], "edges": [{}]}}"#, services.join(","), edges.join(","));
    assert_eq!(read_mesh(&text).unwrap().order.len(), 20_000);
}

#[test]
fn operations_count_calls_for_one_external_request() {
    let shop = mesh("sock-shop");
    let order = shop.operations.iter().find(|operation| &*operation.name == "post_order").unwrap();
    let visits =
        |name: &str| order.visits[shop.services.iter().position(|service| &*service.name == name).unwrap()];
    assert_eq!(
        (visits("front-end"), visits("user"), visits("user-db"), visits("orders")),
        (1.0, 4.0, 4.0, 1.0)
    );
    assert!((order.share - 1.0 / 9.0).abs() < 1e-12);
}

#[test]
fn a_scenario_that_is_wrong_is_refused_with_a_remedy() {
    let ramp = |fields: &str| STILL.replace("noise: 0 }\nback", &format!("ramps: [{{ {fields} }}] }}\nback"));
    for (text, says) in [
        ("name: [", vec!["scenario.yaml"]),
        (&format!("{STILL}colour: red\n"), vec!["colour", "docs/scenarios.md"]),
        (&STILL.replace("steady", "calm"), vec!["calm", "steady"]),
        (&STILL.replace("2026-03-02T00:00:00Z", "monday"), vec!["start is monday", "2026-03-02T00:00:00Z"]),
        (&STILL.replace("0m", "2 days"), vec!["`2 days` is not a duration", "1d6h30m"]),
        (&STILL.replace("0m", "-1d"), vec!["warmUp is -1440m", "from 0m"]),
        (&STILL.replace("0.4", "1.4"), vec!["load.utilisation is 1.4", "0.01 to 0.9"]),
        (&STILL.replace("0.4", "0.05"), vec!["load.utilisation is 0.05", "above background.mean"]),
        (&format!("{STILL}nodes: {{ kinds: [] }}\n"), vec!["nodes.kinds is 0"]),
        (&ramp("at: 1h, over: 1h, hold: 1h"), vec!["load.ramps[0] is neither", "give to or nodeUtilisation"]),
        (
            &ramp("at: 1h, over: 1h, hold: 1h, to: 2, service: 0, operation: 0"),
            vec!["load.ramps[0] is for a service and an operation", "name one of them"],
        ),
        (
            &ramp("at: 1h, over: 1h, hold: 1h, to: 2, every: 30m"),
            vec!["load.ramps[0].every is 30m", "from 120m"],
        ),
        (
            &format!("{STILL}neighbours: [{{ node: 0, at: 1h, hold: 1h }}]\n"),
            vec!["neighbours[0] is neither"],
        ),
        (
            &format!("{STILL}faults: [{{ service: 0, at: 1h, lasts: 1h, demandFactor: 0.5 }}]\n"),
            vec!["faults[0].demandFactor is 0.5", "from 1"],
        ),
        (
            &STILL.replace("noise: 0 }\nback", "series: [{ file: no.csv, id: a }] }\nback"),
            vec!["load.series", "no.csv", "relative to the scenario file"],
        ),
    ] {
        let error = read_scenario(text).unwrap_err();
        for part in says {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn a_series_that_is_wrong_is_refused_with_a_remedy() {
    let header = "series_id,timestamp,value,unit\n";
    for (csv, says) in [
        ("series_id,when,value\n", vec!["no column `timestamp`"]),
        (&format!("{header}b,2026-01-01T00:00:00Z,1,x\n"), vec!["no series `a`", "it has b"]),
        (&format!("{header}a,yesterday,1,x\n"), vec!["line 2", "timestamp `yesterday`"]),
        (&format!("{header}a,2026-01-01T00:00:00Z,much,x\n"), vec!["line 2", "value `much`"]),
        (&format!("{header}a,2026-01-01T00:00:00Z,NaN,x\n"), vec!["value `NaN`", "finite"]),
        (
            &format!("{header}a,2026-01-01T01:00:00Z,1,x\na,2026-01-01T00:00:00Z,1,x\n"),
            vec!["line 3", "after the one before"],
        ),
        (&format!("{header}a,2026-01-01T00:00:00Z,1,x\n"), vec!["less than an hour"]),
        (
            &format!("{header}a,2026-01-01T00:00:00Z,0,x\na,2026-01-01T02:00:00Z,0,x\n"),
            vec!["mean is not above 0"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.csv"), csv).unwrap();
        let path = folder.path().join("scenario.yaml");
        let series = "series: [{ file: s.csv, id: a }] }\nback";
        std::fs::write(&path, STILL.replace("noise: 0 }\nback", series)).unwrap();
        let error = said(&Scenario::read(&path).unwrap_err());
        for part in says {
            assert!(error.contains(part), "{csv}: {error}");
        }
    }
}

#[test]
fn names_that_a_mesh_does_not_have_are_refused() {
    for (scenario, says) in [
        (format!("{STILL}neighbours: [{{ node: node-77, at: 1h, hold: 1h, share: 0.1 }}]\n"), "`node-77`"),
        (format!("{STILL}faults: [{{ service: pear, at: 1h, lasts: 1h }}]\n"), "service `pear`"),
        (
            STILL.replace(
                "noise: 0 }\nback",
                "ramps: [{ operation: pear, at: 1h, over: 1h, hold: 1h, to: 2 }] }\nback",
            ),
            "operation `pear`",
        ),
    ] {
        let scenario = read_scenario(&scenario).unwrap();
        let error = World::new(&mesh("bookinfo"), &scenario, 1).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_sample_scenarios_have_their_licences() {
    let index = std::fs::read_to_string(sample("scenarios/data/index.csv")).unwrap();
    let licences = std::fs::read_to_string(sample("scenarios/data/LICENSES.txt")).unwrap();
    assert!(index.lines().count() > 5 && licences.contains("MIT") && licences.contains("NASA"), "{index}");
}

#[test]
fn the_documented_example_is_a_scenario() {
    let text = std::fs::read_to_string(sample("../docs/scenarios.md")).unwrap();
    let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let data = sample("scenarios/data").canonicalize().unwrap();
    let example = example.replace("file: data", &format!("file: {}", data.display()));
    let scenario = read_scenario(&example).unwrap();
    World::new(&mesh("bookinfo"), &scenario, 1).unwrap();
    // Each field of the format is in the table.
    for source in ["fields", "cluster", "load", "trouble", "rules"] {
        let path = format!("../planner/world/src/scenario/{source}.rs");
        for line in std::fs::read_to_string(sample(&path)).unwrap().lines() {
            let Some(field) = line.trim().strip_prefix("pub ").and_then(|line| line.split_once(": ")) else {
                continue;
            };
            let mut words = field.0.split('_');
            let first = words.next().unwrap().to_owned();
            let name =
                words.fold(first, |name, word| format!("{name}{}{}", word[..1].to_uppercase(), &word[1..]));
            assert!(
                text.contains(&format!("`{name}")) || text.contains(&format!(".{name}")),
                "no `{name}` in the table"
            );
        }
    }
}
