//! The sample scenarios: each fits each mesh, and does what its kind promises.

use foremesh_world::{Kind, Mesh, Scenario, World};

use crate::samples::{mesh, minutes, sample, world};

fn scenarios() -> Vec<Scenario> {
    let mut paths: Vec<_> = std::fs::read_dir(sample("scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Scenario::read(path).unwrap()).collect()
}

/// Violation minutes that no fault explains, and those that one does.
fn violations(mut world: World) -> (usize, usize) {
    for _ in 0..world.warm_up_minutes() {
        world.tick();
    }
    let (mut plain, mut explained) = (0, 0);
    for _ in 0..world.measured_minutes() {
        for service in world.tick().truth.services.iter().filter(|service| service.breach) {
            if service.fault {
                explained += 1;
            } else {
                plain += 1;
            }
        }
    }
    (plain, explained)
}

#[test]
fn each_scenario_does_what_its_kind_promises() {
    let bookinfo = mesh("bookinfo");
    let mut kinds = Vec::new();
    for scenario in scenarios() {
        let (plain, explained) = violations(World::new(&bookinfo, &scenario, 1).unwrap());
        let kind = scenario.spec.kind;
        let as_promised = match kind {
            Kind::Steady => plain == 0 && explained == 0,
            Kind::Fault => explained > 60 && plain < 30,
            _ => plain > 10 && explained == 0,
        };
        assert!(as_promised, "{}: {plain} violation minutes, {explained} of a fault", scenario.spec.name);
        kinds.push(kind);
    }
    for (kind, least) in [
        (Kind::Ramp, 2),
        (Kind::Peak, 2),
        (Kind::Neighbour, 2),
        (Kind::Fault, 2),
        (Kind::Event, 1),
        (Kind::Steady, 1),
    ] {
        assert!(kinds.iter().filter(|of| **of == kind).count() >= least, "too few of {kind:?}");
    }
}

#[test]
fn each_scenario_fits_each_mesh() {
    for scenario in scenarios() {
        for name in ["bookinfo", "sock-shop"] {
            let mesh = mesh(name);
            let mut world = World::new(&mesh, &scenario, 5).unwrap();
            let inventory = world.inventory();
            assert_eq!(inventory.workloads.len(), mesh.services.len());
            for minute in minutes(&mut world, 100) {
                assert_eq!(minute.truth.services.len(), mesh.services.len());
                for service in &minute.truth.services {
                    let ordered = service.p50_ms <= service.p95_ms && service.p95_ms <= service.p99_ms;
                    assert!(ordered && service.error_share <= 1.0, "{service:?}");
                }
                let sane = |level: f64| (0.0..=1.0).contains(&level);
                assert!(
                    minute.truth.nodes.iter().all(|node| sane(node.utilisation)),
                    "{:?}",
                    minute.truth.nodes
                );
            }
        }
    }
}

/// One service, a service that is never called, and one that is called beyond measure.
#[test]
fn odd_meshes_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.json");
    let idle = r#"{"services": [{"name": "a"}, {"name": "idle"}], "entry_points": ["a"]}"#;
    let many = r#"{"services": [{"name": "a"}, {"name": "b"}],
        "edges": [{"from": "a", "to": "b", "calls_per_caller_request": 100000000}]}"#;
    for text in [r#"{"services": [{"name": "a"}]}"#, idle, many] {
        std::fs::write(&path, text).unwrap();
        let mesh = Mesh::read(&path).unwrap();
        for scenario in scenarios() {
            let all = minutes(&mut World::new(&mesh, &scenario, 1).unwrap(), 20);
            assert!(
                all.iter().all(|minute| minute.truth.nodes.iter().any(|node| node.utilisation > 0.1)),
                "{}",
                scenario.spec.name
            );
        }
    }
}

#[test]
fn events_are_known_ahead_and_raise_the_load() {
    let mut world = world("bookinfo", "event-calendar", 2);
    let calendar = world.calendar().to_vec();
    assert_eq!(calendar.len(), 9);
    assert!(calendar.is_sorted_by_key(|event| event.start_ms));
    let first_ms = world.now_ms();
    let load = |world: &mut World| world.tick().truth.services[1].load_rps;
    let all: Vec<f64> = (0..world.warm_up_minutes()).map(|_| load(&mut world)).collect();
    let mean = |from: i64, count: usize| {
        all[from as usize..from as usize + count].iter().sum::<f64>() / count as f64
    };
    for event in calendar.iter().filter(|event| event.end_ms < world.now_ms()) {
        let (start, end) = ((event.start_ms - first_ms) / 60_000, (event.end_ms - first_ms) / 60_000);
        assert!(mean(start + 15, 40) > 1.25 * mean(start - 30, 25), "no rise at {start}");
        assert!(mean(start + 15, 40) > 1.25 * mean(end + 5, 25), "no fall at {end}");
    }
}

#[test]
fn what_waits_for_a_faulty_service_is_explained_by_it() {
    let mut world = world("bookinfo", "fault-latency", 1);
    let warm = world.warm_up_minutes();
    let all = minutes(&mut world, (warm + 600) as usize);
    let faulty = |minute: u32, service: usize| all[minute as usize].truth.services[service].fault;
    for service in &all[0].truth.services {
        assert!(!service.fault);
    }
    let during = warm + 400;
    // The front end waits for everything.
    assert!(faulty(during, 1), "{:?}", all[during as usize].truth);
    for (number, service) in all[0].truth.services.iter().enumerate() {
        assert_eq!(world.faulty(&service.service, during), faulty(during, number));
        assert!(!world.faulty(&service.service, warm));
    }
    assert!(!world.faulty("nobody", during));
}
