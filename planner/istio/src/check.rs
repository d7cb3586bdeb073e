//! What cannot be split, and why.
use crate::{
    Host, IstioError, Kind, Objects, Reason,
    objects::{called, in_mesh, is_own, list, namespace, seen_by_all, text, texts},
    record, route,
    subsets::{Ours, users},
};
use serde_json::Value;

/// The rule of the host and what its routes are.
#[derive(Debug)]
pub(crate) struct Found<'o> {
    /// The only rule for the host, the user's or ours.
    pub(crate) rule: Option<&'o Value>,
    /// Routes with a destination at the host, the user's and ours.
    pub(crate) routes: Vec<&'o Value>,
    /// Whether some route stands for the host in the sidecars of its callers.
    pub(crate) routed: bool,
    /// Our subsets.
    pub(crate) ours: Ours,
}

impl<'o> Found<'o> {
    pub(crate) fn of(objects: &'o Objects, host: &Host) -> Self {
        let rule =
            objects.destination_rules.iter().find(|rule| host.is(text(rule, "/spec/host"), namespace(rule)));
        let routes: Vec<&Value> =
            objects.virtual_services.iter().filter(|object| route::touches(object, host)).collect();
        let stands = |object: &&Value| {
            in_mesh(object)
                && texts(object, "/spec/hosts")
                    .any(|text| host.is(text, namespace(object)) || host.is_among(text))
        };
        let routed = objects.virtual_services.iter().any(|object| stands(&object));
        Self { rule, routes, routed, ours: Ours::of(rule) }
    }
}

fn rules<'o>(objects: &'o Objects, host: &'o Host) -> impl Iterator<Item = &'o Value> {
    objects.destination_rules.iter().filter(|rule| host.is(text(rule, "/spec/host"), namespace(rule)))
}

/// Says why the host cannot be split, if it cannot.
pub(crate) fn check(objects: &Objects, host: &Host) -> Result<(), IstioError> {
    check_rules(objects, host)?;
    for object in &objects.http_routes {
        check_gateway_api(object, host)?;
    }
    let found = Found::of(objects, host);
    let mut stands: Option<&Value> = None;
    for object in objects.virtual_services.iter().filter(|object| !is_own(object, host)) {
        check_route(object, host, &found)?;
        let exact = texts(object, "/spec/hosts").any(|text| host.is(text, namespace(object)));
        if exact
            && in_mesh(object)
            && let Some(first) = stands.replace(object)
        {
            let (first, second) = (called(Kind::VirtualService, first), called(Kind::VirtualService, object));
            return refuse(
                Reason::Ambiguous,
                second,
                format!("{first} is for host {} as well", host.full),
                "put the routes of one host into one VirtualService",
            );
        }
    }
    Ok(())
}

fn refuse<T>(
    reason: Reason,
    object: String,
    problem: impl Into<String>,
    remedy: &str,
) -> Result<T, IstioError> {
    Err(IstioError::new(reason, object, problem, remedy))
}

fn check_rules(objects: &Objects, host: &Host) -> Result<(), IstioError> {
    let all: Vec<&Value> = rules(objects, host).collect();
    let full = &host.full;
    if let [first, second, ..] = all[..] {
        let (first, second) = (called(Kind::DestinationRule, first), called(Kind::DestinationRule, second));
        let problem = format!("{first} is for host {full} as well");
        return refuse(
            Reason::Ambiguous,
            second,
            problem,
            "put the rules of one host into one DestinationRule",
        );
    }
    for rule in &objects.destination_rules {
        let (object, of) = (called(Kind::DestinationRule, rule), text(rule, "/spec/host"));
        if host.is_half(of) {
            let problem = format!("its host `{of}` has a dot, so that Istio takes it as it stands");
            return refuse(Reason::HostForm, object, problem, "write the whole host of the service");
        }
        if all.is_empty() && host.is_among(of) {
            let problem =
                format!("its host `{of}` stands for {full} as well, and a rule of its own would hide it");
            let remedy = "give the service a DestinationRule of its own with the same trafficPolicy";
            return refuse(Reason::Wildcard, object, problem, remedy);
        }
    }
    let Some(rule) = all.first() else { return Ok(()) };
    let object = called(Kind::DestinationRule, rule);
    if namespace(rule) != host.namespace {
        let problem = format!(
            "it is not in namespace {} of the service, so that other callers do not see it",
            host.namespace
        );
        return refuse(Reason::Hidden, object, problem, "put it into the namespace of the service");
    }
    if !seen_by_all(rule) {
        let problem = "by its exportTo some callers do not see it, and its subsets would be unknown to them";
        return refuse(Reason::Hidden, object, problem, "export it to all namespaces, or leave exportTo out");
    }
    if rule["spec"].get("workloadSelector").is_some() {
        let problem = "by its workloadSelector it is for some callers only";
        return refuse(Reason::Selected, object, problem, "take the workloadSelector out");
    }
    let users = users(Some(rule));
    let taken =
        users.iter().flat_map(|user| crate::Location::ALL.map(|location| location.subset(Some(user))));
    let plain = crate::Location::ALL.map(|location| location.subset(None));
    if let Some(taken) = taken.chain(plain).find(|name| users.contains(name)) {
        let problem = format!("it has a subset `{taken}`, a name that is needed for the move");
        return refuse(Reason::Subset, object, problem, "give that subset another name");
    }
    Ok(())
}

fn check_gateway_api(route: &Value, host: &Host) -> Result<(), IstioError> {
    let within = namespace(route);
    let meant = |reference: &Value| {
        let other = reference["namespace"].as_str().unwrap_or(within);
        let kind = reference["kind"].as_str().unwrap_or("Service");
        kind == "Service" && text(reference, "/name") == host.name && other == host.namespace
    };
    let parents = list(route, "/spec/parentRefs").iter().filter(|parent| parent["kind"] == "Service");
    let backends = list(route, "/spec/rules").iter().flat_map(|rule| list(rule, "/backendRefs"));
    if parents.chain(backends).any(meant) {
        let object = format!("HTTPRoute {within}/{}", crate::objects::name(route));
        let problem = format!("it routes {}, and routes of the Gateway API cannot be split yet", host.full);
        return refuse(Reason::GatewayApi, object, problem, "use a VirtualService for this service");
    }
    Ok(())
}

fn check_route(object: &Value, host: &Host, found: &Found<'_>) -> Result<(), IstioError> {
    let (within, called, full) = (namespace(object), called(Kind::VirtualService, object), &host.full);
    let hosts = || texts(object, "/spec/hosts");
    let exact = hosts().any(|text| host.is(text, within));
    let among = hosts().any(|text| host.is_among(text));
    let touches = route::touches(object, host);
    let http = list(object, "/spec/http");
    let destinations = || {
        let fields = ["/spec/tcp", "/spec/tls", "/spec/http"].iter().flat_map(|field| list(object, field));
        fields.flat_map(|rule| list(rule, "/route")).map(|one| text(one, "/destination/host"))
    };
    if let Some(half) = hosts().chain(destinations()).find(|text| host.is_half(text)) {
        let problem = format!("host `{half}` has a dot, so that Istio takes it as it stands");
        return refuse(Reason::HostForm, called, problem, "write the whole host of the service");
    }
    for field in ["tcp", "tls"] {
        let rules = list(object, &format!("/spec/{field}")).iter().flat_map(|rule| list(rule, "/route"));
        if rules.into_iter().any(|one| host.is(text(one, "/destination/host"), within)) {
            let problem =
                format!("its {field} routes go to {full}, and connections cannot be split by request");
            return refuse(Reason::NotHttp, called, problem, "opt the workload out, or use http routes");
        }
    }
    if (exact || among) && in_mesh(object) && http.iter().any(|rule| rule.get("delegate").is_some()) {
        let problem = format!("it delegates routes of {full} to another object");
        return refuse(
            Reason::Delegate,
            called,
            problem,
            "write the routes of this host out in one VirtualService",
        );
    }
    if touches && hosts().next().is_none() {
        let problem = format!("it has no hosts, so that it is delegated to, and goes to {full}");
        return refuse(
            Reason::Delegate,
            called,
            problem,
            "write the routes of this host out in one VirtualService",
        );
    }
    if among && !exact && in_mesh(object) && !touches {
        let problem = format!("by a wildcard it stands for {full}, but none of its routes names that host");
        return refuse(Reason::Wildcard, called, problem, "give the service a VirtualService of its own");
    }
    if exact && in_mesh(object) && !seen_by_all(object) {
        let problem = format!(
            "by its exportTo some callers of {full} do not see it, and for them nothing would be split"
        );
        return refuse(Reason::Hidden, called, problem, "export it to all namespaces, or leave exportTo out");
    }
    if let Some(other) = record::of(object).map(|record| record.host).filter(|other| touches && other != full)
    {
        let problem = format!("it is split for a move of {other} at the moment");
        return refuse(Reason::Busy, called, problem, "wait until that move is over");
    }
    let users = users(found.rule);
    let unknown = route::subsets(object, host)
        .flatten()
        .find(|subset| !users.contains(*subset) && found.ours.base(subset).is_none());
    if let Some(subset) = unknown {
        let problem = format!("it names subset `{subset}` of {full}, which no DestinationRule has");
        return refuse(Reason::Subset, called, problem, "define the subset, or take it out of the route");
    }
    Ok(())
}
