//! Order without cycles, and visits from calls.

use super::{Edge, Service};

/// Sorts the services so that callers precede callees, and says which edges close a cycle.
///
/// Depth first from `roots`, then from whatever they do not reach; an edge back to a service that is
/// still being visited closes a cycle. Iterative, so that a long chain does not overflow the stack.
pub(super) fn callers_first(services: usize, edges: &[Edge], roots: &[usize]) -> (Vec<usize>, Vec<bool>) {
    let mut out = vec![Vec::new(); services];
    for (number, edge) in edges.iter().enumerate() {
        out[edge.from].push(number);
    }
    let (mut open, mut done) = (vec![false; services], vec![false; services]);
    let (mut finished, mut closes) = (Vec::with_capacity(services), vec![false; edges.len()]);
    for root in roots.iter().copied().chain(0..services) {
        if done[root] {
            continue;
        }
        let mut stack = vec![(root, 0)];
        open[root] = true;
        while let Some((service, position)) = stack.pop() {
            let Some(&number) = out[service].get(position) else {
                open[service] = false;
                done[service] = true;
                finished.push(service);
                continue;
            };
            stack.push((service, position + 1));
            let callee = edges[number].to;
            if open[callee] {
                closes[number] = true;
            } else if !done[callee] {
                open[callee] = true;
                stack.push((callee, 0));
            }
        }
    }
    finished.reverse();
    (finished, closes)
}

/// Calls on each edge and visits of each service for one request at `entry`, from the ratios of the edges.
pub(crate) fn propagate(
    entry: usize,
    services: usize,
    edges: &[Edge],
    order: &[usize],
) -> (Vec<f64>, Vec<f64>) {
    let (mut visits, mut calls) = (vec![0.0; services], vec![0.0; edges.len()]);
    visits[entry] = 1.0;
    for &service in order {
        if visits[service] > 0.0 {
            for (number, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.from == service) {
                calls[number] = visits[service] * edge.calls;
                visits[edge.to] += calls[number];
            }
        }
    }
    (calls, visits)
}

/// Visits of each service from calls per edge as a file gives them; calls of a service that is not
/// reached are set to 0.
pub(super) fn visits_of(
    entry: usize,
    services: usize,
    edges: &[Edge],
    order: &[usize],
    calls: &mut [f64],
) -> Vec<f64> {
    let mut visits = vec![0.0; services];
    visits[entry] = 1.0;
    for &service in order {
        for (number, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.from == service) {
            if visits[service] > 0.0 {
                visits[edge.to] += calls[number];
            } else {
                calls[number] = 0.0;
            }
        }
    }
    visits
}

/// The services that nobody calls; when all are called, the front ends, and without any the first service.
pub(super) fn entries(services: &[Service], edges: &[Edge]) -> Vec<usize> {
    let called = |service: usize| edges.iter().any(|edge| edge.to == service && edge.from != service);
    let uncalled: Vec<usize> = (0..services.len()).filter(|service| !called(*service)).collect();
    if !uncalled.is_empty() {
        return uncalled;
    }
    let frontends: Vec<usize> =
        (0..services.len()).filter(|service| services[*service].role == super::Role::Frontend).collect();
    if frontends.is_empty() { vec![0] } else { frontends }
}
