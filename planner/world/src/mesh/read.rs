//! Reads and checks a mesh file.

use std::collections::HashMap;
use std::path::Path;

use super::file::{EntryPoint, File, FileEdge, FileOperation, FileService};
use super::graph::{callers_first, entries, propagate, visits_of};
use super::{Edge, Mesh, MeshError, Operation, Role, Service};
use crate::Id;

/// Turns names into indices and checks values, with the file's path for the errors.
struct Checked<'a> {
    path: &'a Path,
    index: HashMap<String, usize>,
}

impl Checked<'_> {
    fn service(&self, name: &str, object: &str) -> Result<usize, MeshError> {
        self.index.get(name).copied().ok_or_else(|| MeshError::UnknownService {
            path: self.path.to_owned(),
            object: object.to_owned(),
            name: name.to_owned(),
        })
    }

    fn number(&self, value: f64, object: &str, field: &'static str) -> Result<f64, MeshError> {
        if value.is_finite() && (0.0..=1e9).contains(&value) {
            return Ok(value);
        }
        Err(MeshError::Value {
            path: self.path.to_owned(),
            object: object.to_owned(),
            field,
            value: value.to_string(),
            remedy: "it must be a number from 0 to 1e9",
        })
    }

    fn optional(
        &self,
        value: Option<f64>,
        object: &str,
        field: &'static str,
    ) -> Result<Option<f64>, MeshError> {
        value.map(|value| self.number(value, object, field)).transpose()
    }
}

impl Mesh {
    /// Reads a mesh file.
    ///
    /// # Errors
    /// When it cannot be read, is not a mesh, or contradicts itself; the error names file, object and remedy.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, MeshError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| MeshError::Read { path: path.to_owned(), source })?;
        let file: File = serde_json::from_str(&text).map_err(|source| MeshError::Parse {
            path: path.to_owned(),
            line: source.line(),
            column: source.column(),
            source,
        })?;
        build(path, file)
    }
}

fn build(path: &Path, file: File) -> Result<Mesh, MeshError> {
    let raw = match file.services {
        Some(services) if !services.is_empty() => services,
        _ => {
            let found = if file.incidents.is_some() { ", but a list of incidents" } else { "" };
            return Err(MeshError::NotAMesh { path: path.to_owned(), found: found.to_owned() });
        }
    };
    let mut check = Checked { path, index: HashMap::new() };
    for (number, service) in raw.iter().enumerate() {
        if check.index.insert(service.name.clone(), number).is_some() {
            return Err(MeshError::Duplicate { path: path.to_owned(), name: service.name.clone() });
        }
    }
    let services =
        raw.iter().map(|service| checked_service(&check, service)).collect::<Result<Vec<_>, _>>()?;
    let mut edges = checked_edges(&check, file.edges.unwrap_or_default())?;
    let operations = file.operations.unwrap_or_default();
    add_edges_of_operations(&check, &operations, &mut edges)?;
    let roots = roots(&check, &operations, file.entry_points, &raw, &services, &edges)?;
    let starts: Vec<usize> = roots.iter().map(|root| root.0).collect();
    let (order, closes) = callers_first(services.len(), &edges, &starts);
    let name_of = |service: usize| services[service].name.clone();
    let left_out = edges
        .iter()
        .zip(&closes)
        .filter(|(_, closes)| **closes)
        .map(|(edge, _)| (name_of(edge.from), name_of(edge.to)))
        .collect();
    let mut kept = closes.iter();
    edges.retain(|_| kept.next() == Some(&false));
    let operations = if operations.is_empty() {
        roots
            .iter()
            .map(|&(entry, weight)| {
                let (calls, visits) = propagate(entry, services.len(), &edges, &order);
                Operation { name: name_of(entry), entry, share: weight, calls, visits }
            })
            .collect()
    } else {
        counted_operations(&check, &operations, &roots, services.len(), &edges, &order)?
    };
    let name = file.name.unwrap_or_else(|| {
        path.file_stem().map_or_else(|| "mesh".to_owned(), |stem| stem.to_string_lossy().into_owned())
    });
    let mut mesh = Mesh { name, services, edges, operations, order, left_out };
    let total: f64 = mesh.operations.iter().map(|operation| operation.share).sum();
    if total <= 0.0 {
        return Err(MeshError::Value {
            path: path.to_owned(),
            object: "the operations together".to_owned(),
            field: "weight",
            value: total.to_string(),
            remedy: "at least one weight must be above 0",
        });
    }
    for operation in &mut mesh.operations {
        operation.share /= total;
    }
    Ok(mesh)
}

fn checked_service(check: &Checked<'_>, raw: &FileService) -> Result<Service, MeshError> {
    let object = format!("service `{}`", raw.name);
    let role = match raw.role.as_deref() {
        Some("frontend") => Role::Frontend,
        Some("database") => Role::Database,
        Some("cache") => Role::Cache,
        Some("queue") => Role::Queue,
        _ => Role::Service,
    };
    let memory = [
        (raw.memory_mib_mean, "memory_mib_mean"),
        (raw.memory_request_mib, "memory_request_mib"),
        (raw.memory_limit_mib, "memory_limit_mib"),
    ];
    let mut memory_mib = None;
    for (value, field) in memory {
        memory_mib = memory_mib.or(check.optional(value, &object, field)?);
    }
    Ok(Service {
        name: Id::from(raw.name.as_str()),
        role,
        stateful: raw.stateful.unwrap_or(matches!(role, Role::Database | Role::Cache | Role::Queue)),
        replicas: check.optional(raw.replicas, &object, "replicas")?.unwrap_or(1.0).max(1.0) as u32,
        cpu_core_ms: check
            .optional(raw.cpu_core_ms_per_request, &object, "cpu_core_ms_per_request")?
            .filter(|value| *value > 0.0),
        self_time_ms: check.optional(raw.self_time_ms_p50, &object, "self_time_ms_p50")?,
        memory_mib,
    })
}

fn checked_edges(check: &Checked<'_>, raw: Vec<FileEdge>) -> Result<Vec<Edge>, MeshError> {
    let mut edges: Vec<Edge> = Vec::with_capacity(raw.len());
    for edge in raw {
        let object = format!("edge `{}` to `{}`", edge.from, edge.to);
        let (from, to) = (check.service(&edge.from, &object)?, check.service(&edge.to, &object)?);
        let calls = check
            .optional(edge.calls_per_caller_request, &object, "calls_per_caller_request")?
            .unwrap_or(1.0);
        let sync = match edge.mode.as_deref() {
            None | Some("sync") => true,
            Some("async") => false,
            Some(other) => {
                return Err(MeshError::Value {
                    path: check.path.to_owned(),
                    object,
                    field: "mode",
                    value: format!("`{other}`"),
                    remedy: "it must be `sync` or `async`",
                });
            }
        };
        match edges.iter_mut().find(|known| known.from == from && known.to == to) {
            // Two lines for one pair, for example of two routes: their calls add up.
            Some(known) => known.calls += calls,
            None => edges.push(Edge { from, to, calls, sync }),
        }
    }
    Ok(edges)
}

fn add_edges_of_operations(
    check: &Checked<'_>,
    operations: &[FileOperation],
    edges: &mut Vec<Edge>,
) -> Result<(), MeshError> {
    for operation in operations {
        let object = format!("operation `{}`", operation.name.as_deref().unwrap_or("?"));
        for call in operation.calls.iter().flatten() {
            let (from, to) = (check.service(&call.from, &object)?, check.service(&call.to, &object)?);
            if !edges.iter().any(|edge| edge.from == from && edge.to == to) {
                edges.push(Edge {
                    from,
                    to,
                    calls: check.number(call.mean.unwrap_or(1.0), &object, "mean")?,
                    sync: true,
                });
            }
        }
    }
    Ok(())
}

/// Entry and weight of each operation, or of each entry point.
fn roots(
    check: &Checked<'_>,
    operations: &[FileOperation],
    entry_points: Option<Vec<EntryPoint>>,
    raw: &[FileService],
    services: &[Service],
    edges: &[Edge],
) -> Result<Vec<(usize, f64)>, MeshError> {
    let uncalled = entries(services, edges);
    if !operations.is_empty() {
        return operations
            .iter()
            .map(|operation| {
                let object = format!("operation `{}`", operation.name.as_deref().unwrap_or("?"));
                let weight = check.number(operation.weight.unwrap_or(1.0), &object, "weight")?;
                let entry = match &operation.entry {
                    Some(entry) => check.service(entry, &object)?,
                    None => uncalled[0],
                };
                Ok((entry, weight))
            })
            .collect();
    }
    let points = entry_points.unwrap_or_default();
    if !points.is_empty() {
        return points
            .iter()
            .map(|point| match point {
                EntryPoint::Name(name) => Ok((check.service(name, "an entry point")?, 1.0)),
                EntryPoint::Share { service, share } => {
                    let share = check.number(share.unwrap_or(1.0), "an entry point", "share")?;
                    Ok((check.service(service, "an entry point")?, share))
                }
            })
            .collect();
    }
    let rate = |entry: usize| raw[entry].requests_per_s.filter(|rate| rate.is_finite() && *rate > 0.0);
    // An entry without a measured rate among others that have one was hardly seen.
    let least = uncalled.iter().filter_map(|entry| rate(*entry)).reduce(f64::min).unwrap_or(1.0);
    Ok(uncalled.iter().map(|&entry| (entry, rate(entry).unwrap_or(least))).collect())
}

fn counted_operations(
    check: &Checked<'_>,
    raw: &[FileOperation],
    roots: &[(usize, f64)],
    services: usize,
    edges: &[Edge],
    order: &[usize],
) -> Result<Vec<Operation>, MeshError> {
    raw.iter()
        .zip(roots)
        .enumerate()
        .map(|(number, (operation, &(entry, share)))| {
            let name = operation.name.clone().unwrap_or_else(|| format!("operation-{number}"));
            let object = format!("operation `{name}`");
            let Some(listed) = &operation.calls else {
                let (calls, visits) = propagate(entry, services, edges, order);
                return Ok(Operation { name: Id::from(name), entry, share, calls, visits });
            };
            let mut calls = vec![0.0; edges.len()];
            for call in listed {
                let (from, to) = (check.service(&call.from, &object)?, check.service(&call.to, &object)?);
                let mean = check.number(call.mean.unwrap_or(1.0), &object, "mean")?;
                if let Some(edge) = edges.iter().position(|edge| edge.from == from && edge.to == to) {
                    calls[edge] += mean;
                }
            }
            let visits = visits_of(entry, services, edges, order, &mut calls);
            Ok(Operation { name: Id::from(name), entry, share, calls, visits })
        })
        .collect()
}
