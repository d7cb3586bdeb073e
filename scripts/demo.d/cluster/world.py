"""The whole loop on a real Kubernetes with Istio on this machine, beside the same service without it.

Four nodes with CPU quotas, and a neighbour that takes most of the node of `web` at each peak. The planner tries the move with two
copies in the staging mesh before it moves the only replica. The same service runs beside it in a namespace that has not opted in.
"""

import json
import os
import sys

os.environ.setdefault("TESTBED_STATE", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "build", "testbed", "demo"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench.d", "moves"))
import cluster  # noqa: E402
from cluster import BED, apply, kubectl, namespace, only_pod, wait, workload  # noqa: E402, F401
from day import DAY_S, LEARNING_DAYS, NOISE_PEAK, SERVICE_PEAK, day, seconds_of  # noqa: E402, F401

PLATFORM = "a Kubernetes of four nodes with Istio"
# Moves are tried before they are made.
TRIED, UNTRIED = True, ""

# The service, and the same once more in a namespace that has not opted in.
WITH, WITHOUT = "shop", "alone"
NOISE = "batch"
SERVICE = f"web.{WITH}.svc.cluster.local"
# Where the service starts, where it has room, where the clients are, where the other one starts and stays.
HOME, ROOM, CLIENTS, OTHER = "node-1", "node-2", "node-3", "node-4"

# Millicores. Two nodes that are alike, and one with room for the service and a copy of it at its peak.
QUOTAS = {HOME: 500, ROOM: 900, OTHER: 500}

# CPU of a request in the service; its sidecar takes about a millisecond more. Together 42 % of the node at the peak.
CPU_MS, THREADS = 2.5, 8
RATE, PEAK_RATE = 30, 60
# The neighbour: nothing, and at each peak 73 % of the node.
NOISE_CPU_MS, NOISE_RATE, NOISE_PEAK_RATE = 40, 0.05, 9

# The promise: P95 at most this many milliseconds.
QUANTILE, OBJECTIVE_MS = 0.95, 500

# The predicted peak is the rush in which a queue was worked off, up to twice what the callers ask for. The node that is left
# has CPU for two thirds of the latter beside the service.
LEAST_PEAK_SHARE = 0.3

# What a move takes here, trial and all, until the new replica serves alone: 47 s on a busy machine, and half as much again.
MOVE_MS = 70_000
# Further ahead than that, and near enough that what was said so far ahead of the second peak is known to have been right.
WITHIN_S = 100
HORIZON_S = 108

SETTINGS = f"""
listen: 0.0.0.0:PORT
stateDirectory: state
platform:
  kubernetes:
    moves: {{namespace: HOME, webhook: {{listen: '0.0.0.0:WEBHOOK', host: ADDRESS}}}}
    staging: {{maxDuration: 30s, warmUp: 2s, startWithin: 25s, leastPeakShare: {LEAST_PEAK_SHARE}}}
planning: {{default_move_duration_ms: {MOVE_MS}}}
rollout: {{revalidateAfter: 2s, holdPerStep: 3s, settle: 4s, gateWait: 15s, drainQuiet: 1s, observationLag: 2s, poll: 250ms,
  minSamples: 50, errorMargin: 0.05}}
filterModule: ROOT/build/foremesh_filter.wasm
step: 4s
season: {DAY_S}s
horizon: {HORIZON_S}s
interval: 2s
lateness: 3s
"""

POLICY = {
    "apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "web", "namespace": WITH},
    "spec": {
        "selector": {"services": ["web"]},
        "mode": "auto",
        "rules": [{"name": "slow-soon", "predictedLatency": {
            "quantile": QUANTILE, "above": f"{OBJECTIVE_MS}ms", "for": {"steps": 2, "of": 3}, "within": f"{WITHIN_S}s"}}],
        "ramp": [50, 100],
        "trial": {"requests": [{"path": "/"}]},
    },
}


def planner(binary, folder):
    return cluster.Planner(binary, folder, cluster.settings(SETTINGS))


def make(planner):
    """Definitions, the staging namespace, the policy, the planner, and all that runs."""
    kubectl("apply", "-f", "-", text=cluster.inside(planner.binary, "crds"))
    kubectl("apply", "-f", "-", text=cluster.inside(planner.binary, "install", "staging"))
    planner.install("1s", space=WITH)
    apply(POLICY, namespace(WITHOUT, **{"istio-injection": "enabled"}), namespace(NOISE))
    # The only replica is to start on the crowded node, although it may run on either.
    kubectl("cordon", ROOM)
    # While it is slow it is not broken: without an endpoint every request would fail.
    serves = {"port": 8080, "patience": 10, "CPU_MS": CPU_MS, "THREADS": THREADS}
    objects = [*workload("web", [HOME, ROOM], "serve", space=WITH, **serves),
               *workload("web", [OTHER], "serve", space=WITHOUT, **serves)]
    for space in (WITH, WITHOUT, NOISE):
        objects += workload("client", [CLIENTS], "idle", space=space)
    for node in (HOME, OTHER):
        # What it asks for decides who gets CPU when there is too little, so it gets what it wants.
        objects += workload(f"noise-{node}", [node], "serve", 8080, space=NOISE, cpu="250m", CPU_MS=NOISE_CPU_MS)
    apply(*objects)
    apps = [("web", WITH), ("web", WITHOUT), *((f"noise-{node}", NOISE) for node in (HOME, OTHER)),
            *(("client", space) for space in (WITH, WITHOUT, NOISE))]
    for app, space in apps:
        wait(f"{app} in {space}", 120, lambda app=app, space=space: only_pod(app, space))
    kubectl("uncordon", ROOM)


def loads(day_start_unix_ms, days):
    """The same load on both services and the same noise beside them: the two services' loads come first."""
    seconds, keeping_step = seconds_of(days), day(day_start_unix_ms)

    def load(space, url, rate, peak, how):
        client = only_pod("client", space)["metadata"]["name"]
        return cluster.Load(client, rate, seconds, "--peak", peak, *keeping_step, *how, url=url, space=space)

    services = [load(space, "http://web:8080/", RATE, PEAK_RATE, SERVICE_PEAK) for space in (WITH, WITHOUT)]
    noise = [load(NOISE, f"http://noise-{node}:8080/", NOISE_RATE, NOISE_PEAK_RATE, NOISE_PEAK) for node in (HOME, OTHER)]
    return services, noise


LISTED = "kubectl get relocations -A"


def printed(_planner):
    """What that prints, line by line."""
    return kubectl("get", "relocations", "-A").rstrip().split("\n")


def events(_planner, relocation):
    """Events of a relocation, oldest first."""
    found = json.loads(kubectl("--namespace", WITH, "get", "events", "-o", "json",
                               "--field-selector", f"involvedObject.kind=Relocation,involvedObject.name={relocation}"))
    told = sorted(found["items"], key=lambda event: event.get("eventTime") or event.get("firstTimestamp") or "")
    return [{"reason": event["reason"], "message": event["message"]} for event in told]
