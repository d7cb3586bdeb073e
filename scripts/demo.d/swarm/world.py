"""The whole loop on a real Docker Swarm on this machine, beside the same service without it.

Four nodes with a dockerd each, three of them with CPU quotas, and a neighbour that takes most of the node of `web` at each peak.
Planner and edge Envoy are those of `envoy-config/swarm`, deployed as the documentation says, with settings for short days. Beside
them the same service runs on a node with the same quota, behind an Envoy of its own; without a port label it is never moved.
"""

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "testbed.d"))
import testbed as beds  # noqa: E402
from testbed import ROOT, filled, wait  # noqa: E402
sys.path.insert(0, os.path.join(HERE, ".."))
from day import DAY_S, LEARNING_DAYS, NOISE_PEAK, SERVICE_PEAK, day, seconds_of  # noqa: E402, F401

BED = beds.Testbed(os.environ.get("TESTBED_STATE") or os.path.join(ROOT, "build", "swarm", "demo"), "swarm")
PLATFORM = "a Docker Swarm of four nodes"
# There is no place to try moves in.
TRIED, UNTRIED = False, "none: waived by the demo"

# The service, and the same once more in a stack that is not opted in.
WITH, WITHOUT, NOISE = "shop", "alone", "batch"
SERVICE = f"{WITH}_web"
# Where the planner and the Envoys are, where the service starts, where it has room, where the other one starts and stays.
FRONT, HOME, ROOM, OTHER = "node-1", "node-2", "node-3", "node-4"
ADDRESSES = {node: f"172.30.0.1{node[-1]}" for node in (FRONT, HOME, ROOM, OTHER)}
# Ports at FRONT: both edges; at HOME and OTHER: the neighbour.
EDGES, NOISE_PORT = {WITH: 80, WITHOUT: 81}, 9090

# Millicores. Two nodes that are alike, and one with room for the service and a second task of it at its peak.
QUOTAS = {HOME: 500, ROOM: 900, OTHER: 500}

# CPU of a request. Alone the service takes 60 % of the node at its peak. Swarm gives containers that want too much the same
# share, so the neighbour leaves it half of the node.
CPU_MS, THREADS = 6, 8
RATE, PEAK_RATE = 25, 50
# The neighbour: nothing, and at each peak 72 % of the node.
NOISE_CPU_MS, NOISE_RATE, NOISE_PEAK_RATE = 40, 0.05, 9

# The promise: P95 at most this many milliseconds.
QUANTILE, OBJECTIVE_MS = 0.95, 500

# What a move takes here, until the new task serves alone, and half as much again.
MOVE_MS = 45_000
# Further ahead than that, and near enough that what was said so far ahead of the second peak is known to have been right.
WITHIN_S = 100
HORIZON_S = 108

SETTINGS = """
listen: 0.0.0.0:8700
stateDirectory: /var/lib/foremesh
platform:
  swarm: {endpoint: 'unix:///var/run/docker.sock', edsDirectory: /var/lib/foremesh/eds, ads: {listen: '0.0.0.0:8701'}}
policies: [policies]
signals: {otlp: {enabled: true}}
planning: {default_move_duration_ms: MOVE_MS}
rollout: {revalidateAfter: 2s, holdPerStep: 3s, settle: 4s, gateWait: 15s, drainQuiet: 1s, observationLag: 2s, poll: 250ms,
  minSamples: 50, errorMargin: 0.05}
step: 4s
season: DAY_Ss
horizon: HORIZON_Ss
interval: 2s
lateness: 3s
"""

POLICY = {
    "apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "web"},
    "spec": {
        "selector": {"services": [SERVICE]},
        "mode": "auto",
        "rules": [{"name": "slow-soon", "predictedLatency": {
            "quantile": QUANTILE, "above": f"{OBJECTIVE_MS}ms", "for": {"steps": 2, "of": 3}, "within": f"{WITHIN_S}s"}}],
        "ramp": [50, 100],
        "trial": {"waivedBy": "the demo", "reason": "Swarm has no staging mesh"},
    },
}


def docker(*argv, **more):
    return BED.inside("docker", *argv, **more)


def deploy(stack, file, **environment):
    """With settings of the file in the environment."""
    BED.inside("env", *(f"{name}={value}" for name, value in environment.items()), "docker", "stack", "deploy",
               "--resolve-image", "never", "--compose-file", file, stack)


class Planner:
    """The one of `envoy-config/swarm`."""

    URL = f"http://{ADDRESSES[FRONT]}:8700"

    def __init__(self, binary, folder):
        self.binary, self.folder, self.meter = binary, folder, None
        self.stack = os.path.join(folder, "stack")
        shutil.copytree(os.path.join(ROOT, "envoy-config", "swarm"), self.stack)
        self.write("stack/foremesh.yaml", filled(SETTINGS, MOVE_MS=MOVE_MS, DAY_S=DAY_S, HORIZON_S=HORIZON_S))
        self.write("stack/policy.yaml", json.dumps(POLICY))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as out:
            out.write(text)

    def start(self):
        image = os.path.join(self.folder, "image.tar")
        subprocess.run([os.path.join(ROOT, "scripts", "image"), "--binary", self.binary, "--out", image,
                        "--name", "localhost/foremesh:demo"], check=True, capture_output=True)
        BED.script("on", FRONT, "docker", "load", "--input", image)
        os.remove(image)
        deploy("foremesh", os.path.join(self.stack, "stack.yaml"), FOREMESH_IMAGE="localhost/foremesh:demo",
               ENVOY_IMAGE="localhost/envoy:1", FILTER=os.path.join(ROOT, "build", "foremesh_filter.wasm"),
               SERVICE=SERVICE, INTERVAL_MS=1000)
        wait("the planner's first decision", 90, lambda: self.get("/api/v1/services"))
        self.meter = subprocess.Popen(BED.argv("meter", f"{self.URL}/v1/metrics", "1"), stdin=subprocess.DEVNULL,
                                      env=BED.environment(), stdout=subprocess.DEVNULL,
                                      stderr=open(os.path.join(self.folder, "meter.log"), "a"))  # noqa: SIM115

    def stop(self):
        """It goes with its world; what it said stays."""
        if self.meter:
            self.meter.terminate()
            self.meter.wait(10)
            self.meter = None
        for service in ("planner", "edge"):
            try:
                self.write(f"{service}.log", docker("service", "logs", "--raw", f"foremesh_{service}"))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"the log of {service} cannot be kept: {error}", file=sys.stderr)

    def get(self, path):
        return json.loads(BED.inside("curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "30", self.URL + path))

    def command(self, *argv):
        return BED.inside(self.binary, *argv, "--server", self.URL)


def planner(binary, folder):
    return Planner(binary, folder)


def service(command, cpu_ms, constraint, **more):
    """A service of the demo application, as a compose file has it."""
    deploy_ = {"replicas": 1, "placement": {"constraints": [constraint]}, **more.pop("deploy", {})}
    # While it is slow it is not ill: Swarm would end it.
    check = {"test": ["CMD", "/workload", "call", "--expect", "200", "--timeout-ms", "9000", "http://127.0.0.1:8081/ready"],
             "interval": "2s", "timeout": "10s", "retries": 10}
    return {"image": "localhost/workload:1", "command": [command], "networks": ["foremesh"], "healthcheck": check,
            "environment": {"CPU_MS": cpu_ms, "THREADS": THREADS}, "deploy": deploy_, **more}


def stack(planner, name, services, **more):
    file = {"version": "3.8", "services": services, "networks": {"foremesh": {"external": True}}, **more}
    planner.write(f"{name}.yaml", json.dumps(file))
    deploy(name, os.path.join(planner.folder, f"{name}.yaml"))


def make(planner):
    """The planner with its edge, and all that runs."""
    planner.start()
    for node in (HOME, ROOM):
        docker("node", "update", "--label-add", "shop=yes", node)
    # The only task is to start on the crowded node, although it may run on either.
    docker("node", "update", "--availability", "pause", ROOM)
    stack(planner, WITH, {"web": service(
        "serve", CPU_MS, "node.labels.shop==yes", deploy={"labels": {"foremesh.dev/port": "8080"}})})
    # As the one of the stack `foremesh`; for a service that the planner does not move it has Swarm's addresses.
    edge = {
        "image": "localhost/envoy:1", "entrypoint": ["/usr/local/bin/envoy"], "networks": ["foremesh"],
        "command": ["--config-path", "/etc/foremesh/edge.yaml"],
        "environment": {"SERVICE": f"{WITHOUT}_web", "SERVICE_PORT": "8080", "INTERVAL_MS": "1000", "NODE": "{{.Node.Hostname}}"},
        "configs": [{"source": "edge", "target": "/etc/foremesh/edge.yaml"},
                    {"source": "filter", "target": "/etc/foremesh/filter.wasm"}],
        "ports": [{"target": 8080, "published": EDGES[WITHOUT], "mode": "host"}],
        "deploy": {"placement": {"constraints": ["node.role==manager"]}},
    }
    configs = {name: {"external": True, "name": f"foremesh_{name}"} for name in ("edge", "filter")}
    stack(planner, WITHOUT, {"web": service("serve", CPU_MS, f"node.hostname=={OTHER}"), "edge": edge}, configs=configs)
    port = {"target": 8080, "published": NOISE_PORT, "mode": "host"}
    stack(planner, NOISE, {f"noise-{node}": service("serve", NOISE_CPU_MS, f"node.hostname=={node}", ports=[port])
                           for node in (HOME, OTHER)})
    for url in (*(url_of(name) for name in EDGES), *(noise_of(node) for node in (HOME, OTHER))):
        wait(f"an answer of {url}", 90, lambda url=url: BED.inside("curl", "--silent", "--fail", "--max-time", "5", url))
    docker("node", "update", "--availability", "active", ROOM)


def url_of(name):
    return f"http://{ADDRESSES[FRONT]}:{EDGES[name]}/"


def noise_of(node):
    return f"http://{ADDRESSES[node]}:{NOISE_PORT}/"


def loads(day_start_unix_ms, days):
    """The same load on both services and the same noise beside them: the two services' loads come first."""
    def load(url, rate, peak, how):
        command = beds.Load.command("workload", url, rate, seconds_of(days), "--peak", peak, *day(day_start_unix_ms), *how)
        return beds.Load(BED.begin(*command, **beds.Load.PIPES))

    services = [load(url_of(name), RATE, PEAK_RATE, SERVICE_PEAK) for name in (WITH, WITHOUT)]
    return services, [load(noise_of(node), NOISE_RATE, NOISE_PEAK_RATE, NOISE_PEAK) for node in (HOME, OTHER)]


LISTED = "foremesh moves"


def printed(planner):
    """What that prints, line by line."""
    return planner.command("moves").rstrip().split("\n")


def events(planner, relocation):
    """States of a relocation, with the reasons, oldest first."""
    found = [one for one in planner.get("/api/v1/relocations")["relocations"] if one["id"] == relocation]
    return [{"reason": change["to"], "message": change["why"]} for change in found[0]["history"]] if found else []
