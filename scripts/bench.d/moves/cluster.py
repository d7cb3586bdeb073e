"""A testbed with a planner beside its API server, services under load, and what they say. For the bench of moves, for the
faults, and for the demo, which are about another service with other settings each."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "testbed.d"))
import testbed as beds  # noqa: E402
from testbed import ROOT, filled, quantile_ms, unix_s, wait  # noqa: E402, F401  for whoever imports this

BED = beds.Testbed(os.environ.get("TESTBED_STATE") or os.path.join(ROOT, "build", "testbed", "bench"))
environment, said, testbed, inside, begin, up = BED.environment, BED.said, BED.script, BED.inside, BED.begin, BED.up
# Of the machine that the API server runs on, as pods reach it.
ADDRESS = "172.30.0.10"
PORT = 8720
SPACE = "bench"
HOME = "foremesh"
PRICE = "foremesh.dev/cost-per-hour"
SERVICE = f"web.{SPACE}.svc.cluster.local"

# With names in capitals for what is put in.
POLICY = """
apiVersion: foremesh.dev/v1alpha1
kind: RelocationPolicy
metadata: {name: web}
spec:
  selector: {services: [SERVICE]}
  mode: approve
  ramp: [RAMP]
  trial: {waivedBy: the bench, reason: it measures moves}
  rules:
  - {name: slow, predictedLatency: {quantile: 0.99, above: 500ms, within: 10s}}
  - {name: cheaper, costSaving: {atLeast: 1}}
"""

SETTINGS = """
listen: 0.0.0.0:PORT
stateDirectory: state
platform: {kubernetes: {context: planner, moves: {namespace: HOME, webhook: {listen: '0.0.0.0:WEBHOOK', host: ADDRESS}}}}
planning: {requests_per_money: 100000.0, default_move_duration_ms: 10000}
rollout: ROLLOUT
filterModule: ROOT/build/foremesh_filter.wasm
policies: [policy.yaml]
step: 1s
season: 24s
horizon: 12s
interval: 1s
lateness: LATENESS
"""


def settings(template, **values):
    """The settings of a planner that is reached at `ADDRESS:PORT`."""
    return filled(template, PORT=PORT, WEBHOOK=PORT + 1, HOME=HOME, ADDRESS=ADDRESS, ROOT=ROOT, **values)


def kubectl(*argv, **more):
    return inside("kubectl", *argv, **more)


def apply(*objects):
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


class Audit:
    """What the planner has asked of the API server since a moment, by the API server's own log."""

    def __init__(self):
        self.path = os.path.join(BED.state, "logs", "audit.log")
        self.begin()

    def begin(self):
        self.at = os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def counts(self):
        """How many requests there were by verb and resource, each counted when its answer began."""
        with open(self.path, "rb") as log:
            log.seek(self.at)
            lines = log.read().rpartition(b"\n")[0].splitlines()
        counts = {}
        for event in map(json.loads, lines):
            long = event["verb"] == "watch"
            if event["user"]["username"] != "planner" or (event["stage"] == "ResponseStarted") != long:
                continue
            of = event.get("objectRef", {})
            name = "/".join(filter(None, [of.get("resource", event["requestURI"]), of.get("subresource")]))
            group = of.get("apiGroup")
            key = f"{event['verb']} {name}{'.' + group if group else ''}"
            counts[key] = counts.get(key, 0) + 1
        return dict(sorted(counts.items(), key=lambda of: (-of[1], of[0])))


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def workload(name, nodes, argument, port=None, space=SPACE, cpu="20m", patience=1, **variables):
    """A Deployment of the demo application on some of the nodes, with a Service when it serves. `patience` is how many seconds
    it may take to say that it is ready, `variables` are its settings.
    """
    container = {
        "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": [argument],
        "resources": {"requests": {"cpu": cpu, "memory": "16Mi"}},
        "env": [{"name": key, "value": str(value)} for key, value in {"SERVICE": name, **variables}.items()],
    }
    if port:
        container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": port}, "periodSeconds": 1,
                                       "timeoutSeconds": patience}
    among = {"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}
    terms = [{"matchExpressions": [among]}]
    objects = [{
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": space},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 10, "containers": [container], "enableServiceLinks": False,
                    "affinity": {"nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}},
                },
            },
        },
    }]
    if port:
        objects.append({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": space},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
        })
    return objects


def pods(app, space=SPACE):
    """The pods of one Deployment, whatever their state."""
    return json.loads(kubectl("--namespace", space, "get", "pods", "-l", f"app={app}", "-o", "json"))["items"]


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def only_pod(app, space=SPACE):
    """Its pod, when it has one and that is ready."""
    live = [pod for pod in pods(app, space) if "deletionTimestamp" not in pod["metadata"]]
    return live[0] if len(live) == 1 and is_ready(live[0]) else None


def switch(pod, method, what):
    """Has the demo application in a pod do something: `PUT faults?...`, `POST crash?...`."""
    inside("curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "5", "--request", method,
           f"http://{pod['status']['podIP']}:8081/{what}")


def start_service():
    """The service that is moved between two nodes, and a client on a third one."""
    apply(*workload("web", ["node-1", "node-2"], "serve", 8080), *workload("client", ["node-3"], "idle"))
    wait("the service", 90, lambda: only_pod("web") and only_pod("client"))


def process_in(pod, space, program):
    """The process of a pod that runs a program, by its number outside the testbed."""
    uid = kubectl("--namespace", space, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}").strip()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cgroup") as groups, open(f"/proc/{process}/cmdline") as command:
                if f"pod{uid}" in groups.read() and command.read().startswith(program + "\0"):
                    return int(process)
        except OSError:
            continue
    raise RuntimeError(f"pod {pod} runs no {program}")


def innermost(process):
    """The process id of a command inside, below the scripts that start it."""
    at = process.pid
    while True:
        with open(f"/proc/{at}/task/{at}/children") as text:
            children = text.read().split()
        if not children:
            return at
        at = int(children[0])


class Planner:
    """The planner of a folder; `stop` ends it, `start` takes it up again from its state."""

    def __init__(self, binary, folder, text):
        self.binary, self.folder, self.process = binary, folder, None
        os.makedirs(folder, exist_ok=True)
        self.write("foremesh.yaml", text)

    @classmethod
    def of_moves(cls, binary, folder, rollout, ramp, lateness):
        """One that moves the service when a human says so."""
        planner = cls(binary, folder, settings(SETTINGS, ROLLOUT=rollout, LATENESS=lateness))
        planner.write("policy.yaml", filled(POLICY, SERVICE=SERVICE, RAMP=", ".join(map(str, ramp))))
        return planner

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as out:
            out.write(text)

    def install(self, interval, space=SPACE):
        """Its names in the mesh, and the filter in the sidecars of a namespace that it may work in."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount",
                   "metadata": {"name": "foremesh", "namespace": "istio-system"}}
        port = {"name": "http", "port": 8700, "targetPort": PORT}
        apply(
            namespace(HOME), account, namespace(space, **{"istio-injection": "enabled", "foremesh.dev/managed": "true"}),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "foremesh", "namespace": HOME},
             "spec": {"ports": [port]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": "foremesh", "namespace": HOME,
                          "labels": {"kubernetes.io/service-name": "foremesh"}},
             "ports": [{"name": "http", "port": PORT}],
             "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}]},
        )
        self.start()
        objects = self.command("install", "sidecars", "--into", space, "--planner", f"foremesh.{HOME}.svc.cluster.local",
                               "--interval", interval, "--module-port", "8700")
        kubectl("apply", "-f", "-", text=objects)

    def start(self):
        log = open(os.path.join(self.folder, "log"), "a")  # noqa: SIM115  it lives as long as the process
        # The nodes come before all else on this machine, and what sends the requests of a trial must not wait behind that.
        self.process = begin("nice", "-n", "-10", self.binary, "serve", "--config", os.path.join(self.folder, "foremesh.yaml"),
                             stdout=subprocess.DEVNULL, stderr=log)
        wait("the planner's first decision", 90, lambda: self.get("/api/v1/services"))

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def get(self, path):
        return json.loads(self.call(path))

    def post(self, path, body):
        return json.loads(self.call(path, "--header", "content-type: application/json", "--data", json.dumps(body)))

    def approve_first(self):
        """Approves the plan that waits; fails while there is none, or it does not hold."""
        plan = self.get("/api/v1/plans?state=waits")["plans"][0]["id"]
        return self.post(f"/api/v1/plans/{plan}/approve", {"by": "ops", "reason": "to be moved"})

    def begin_move(self, before=None):
        """Begins a move and gives its id: the way back of one, or else what the policy decides for the price of the node."""
        if before is not None:
            body = {"by": "ops", "reason": "to and fro"}
            # The pass after the move has to see the new replica first.
            begun = wait("a move to be begun", 90, lambda: self.post(f"/api/v1/relocations/{before}/undo", body))
            return begun["relocations"][0]
        old = only_pod("web")["spec"]["nodeName"]
        for node in ("node-1", "node-2"):
            kubectl("annotate", "--overwrite", "node", node, f"{PRICE}={10 if node == old else 1}")
        return wait("a plan that can be approved", 120, self.approve_first)["relocations"][0]

    def call(self, path, *more):
        url = f"http://{ADDRESS}:{PORT}{path}"
        return inside("curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "30", *more, url)

    def command(self, *argv):
        return inside(self.binary, *argv, "--server", f"http://{ADDRESS}:{PORT}")


class Load(beds.Load):
    """A load from a pod; with `alone` it goes on when the API server does not answer."""

    def __init__(self, pod, rate, seconds, *options, url="http://web:8080/", space=SPACE, alone=False):
        load = beds.Load.command("/workload", url, rate, seconds, *options)
        if alone:
            entered = ["nsenter", "--target", str(process_in(pod, space, "/workload")), "--net", "--mount"]
            super().__init__(subprocess.Popen([*entered, *load], stdin=subprocess.DEVNULL, **beds.Load.PIPES))
        else:
            super().__init__(begin("kubectl", "--namespace", space, "exec", pod, "-c", "app", "--", *load, **beds.Load.PIPES))
