//! HTTP interface of the agent, on loopback.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::cpu::Cpu;
use super::service::{Fault, Phase, Refused, ServiceSettings, Services};

/// CPU of the host and of its workloads, averaged over about one second.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct UsageReport {
    pub(super) capacity_millicores: f64,
    pub(super) cpu_used_millicores: f64,
    pub(super) workloads: BTreeMap<String, f64>,
    /// Requests that a workload has received and not answered.
    pub(super) in_flight: BTreeMap<String, u64>,
}

#[derive(Clone)]
struct Agent {
    services: Arc<Services>,
    cpu: Arc<Cpu>,
}

type Reply = (StatusCode, String);

pub(super) fn router(services: Arc<Services>, cpu: Arc<Cpu>) -> Router {
    Router::new()
        .route("/services/{name}/start", post(start))
        .route("/services/{name}/stop", post(stop))
        .route("/services/{name}/ready", get(ready))
        .route("/services/{name}/fault", post(fault))
        .route("/usage", get(usage))
        .with_state(Agent { services, cpu })
}

async fn start(
    State(agent): State<Agent>,
    Path(name): Path<String>,
    Query(settings): Query<ServiceSettings>,
) -> Reply {
    if !settings.demand_ms.is_finite() || settings.demand_ms < 0.0 {
        let text = format!("demand_ms of service `{name}` is {}: it must be 0 or more", settings.demand_ms);
        return (StatusCode::BAD_REQUEST, text);
    }
    reply(agent.services.start(&name, settings))
}

async fn stop(State(agent): State<Agent>, Path(name): Path<String>) -> Reply {
    agent.services.stop(&name).await;
    reply(Ok(()))
}

async fn ready(State(agent): State<Agent>, Path(name): Path<String>) -> Reply {
    let text = match agent.services.phase(&name) {
        Phase::Ready => return reply(Ok(())),
        Phase::Starting => format!("service `{name}` is starting"),
        Phase::Failed(reason) => format!("service `{name}` failed: {reason}"),
        Phase::Stopped => format!("service `{name}` is stopped"),
    };
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn fault(State(agent): State<Agent>, Path(name): Path<String>, Query(fault): Query<Fault>) -> Reply {
    if !(0.0..=1.0).contains(&fault.error_share) {
        let text =
            format!("error_share of service `{name}` is {}: it must be between 0 and 1", fault.error_share);
        return (StatusCode::BAD_REQUEST, text);
    }
    reply(agent.services.set_fault(&name, fault))
}

async fn usage(State(agent): State<Agent>) -> Json<UsageReport> {
    let services = agent.services.list();
    let usage = agent.cpu.usage(services.len());
    let of_class = |class: usize| usage.class_millicores.get(class).copied().unwrap_or(0.0);
    Json(UsageReport {
        capacity_millicores: agent.cpu.capacity_millicores(),
        cpu_used_millicores: usage.total_millicores,
        workloads: services.iter().map(|service| (service.name.clone(), of_class(service.class))).collect(),
        in_flight: services.into_iter().map(|service| (service.name, service.in_flight)).collect(),
    })
}

fn reply(result: Result<(), Refused>) -> Reply {
    match result {
        Ok(()) => (StatusCode::OK, "ok".to_owned()),
        Err(refused @ Refused::Unknown { .. }) => (StatusCode::NOT_FOUND, refused.to_string()),
        Err(refused) => (StatusCode::CONFLICT, refused.to_string()),
    }
}
