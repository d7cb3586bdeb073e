"""A testbed with a planner beside its API server, one service under load, and what they say."""

import json
import os
import subprocess
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
STATE = os.environ.get("TESTBED_STATE") or os.path.join(ROOT, "build", "testbed", "bench")
# Of the machine that the API server runs on, as pods reach it.
ADDRESS = "172.30.0.10"
PORT = 8720
SPACE = "bench"
HOME = "foremesh-bench"
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


def filled(template, **values):
    for name, value in values.items():
        template = template.replace(name, str(value))
    return template


def said(argv, text=None, within=120):
    """What a command wrote to stdout; an error with all that it wrote when it failed."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=within, env=environment())
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def environment():
    return {**os.environ, "TESTBED_STATE": STATE}


def testbed(*argv, **more):
    return said([os.path.join(ROOT, "scripts", "testbed"), *argv], **more)


def inside(*argv, **more):
    return testbed("exec", *argv, **more)


def kubectl(*argv, **more):
    return inside("kubectl", *argv, **more)


def apply(*objects):
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def up(nodes, *more):
    """A testbed that goes down with this process."""
    testbed("down")
    testbed("up", "--owner", str(os.getpid()), "--nodes", str(nodes), "--zones", "2", *more, within=300)


class Audit:
    """What the planner has asked of the API server since a moment, by the API server's own log."""

    def __init__(self):
        self.path = os.path.join(STATE, "logs", "audit.log")
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


def workload(name, nodes, argument, port=None):
    """A Deployment of the demo application on some of the nodes, with a Service when it serves."""
    container = {
        "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": [argument],
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
        "env": [{"name": "SERVICE", "value": name}],
    }
    if port:
        container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": port}, "periodSeconds": 1}
    among = {"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}
    terms = [{"matchExpressions": [among]}]
    objects = [{
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": SPACE},
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
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SPACE},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
        })
    return objects


def pods(app):
    """The pods of one Deployment, whatever their state."""
    return json.loads(kubectl("--namespace", SPACE, "get", "pods", "-l", f"app={app}", "-o", "json"))["items"]


def only_pod(app):
    """Its pod, when it has one and that is ready."""
    live = [pod for pod in pods(app) if "deletionTimestamp" not in pod["metadata"]]
    ready = [pod for pod in live if any(c["type"] == "Ready" and c["status"] == "True"
                                        for c in pod["status"].get("conditions", []))]
    return ready[0] if len(ready) == 1 and len(live) == 1 else None


def start_service():
    """The service that is moved between two nodes, and a client on a third one."""
    apply(*workload("web", ["node-1", "node-2"], "serve", 8080), *workload("client", ["node-3"], "idle"))
    wait("the service", 90, lambda: only_pod("web") and only_pod("client"))


def wait(what, within, look):
    """Asks until there is an answer that is true."""
    began, last = time.monotonic(), None
    while time.monotonic() - began < within:
        try:
            answer = look()
            if answer:
                return answer
        except Exception as error:  # noqa: BLE001  the last one is told when it does not come right
            last = error
        time.sleep(0.2)
    raise RuntimeError(f"{what} did not come within {within} s; last: {last}")


class Planner:
    """The planner of a folder; `stop` ends it, `start` takes it up again from its state."""

    def __init__(self, binary, folder, rollout, ramp, lateness):
        self.binary, self.folder, self.process = binary, folder, None
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "policy.yaml"), "w") as out:
            out.write(filled(POLICY, SERVICE=SERVICE, RAMP=", ".join(map(str, ramp))))
        with open(os.path.join(folder, "foremesh.yaml"), "w") as out:
            out.write(filled(SETTINGS, PORT=PORT, WEBHOOK=PORT + 1, HOME=HOME, ADDRESS=ADDRESS, ROOT=ROOT,
                             ROLLOUT=rollout, LATENESS=lateness))

    def install(self, interval):
        """Its names in the mesh, and the filter in the sidecars of the service."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount",
                   "metadata": {"name": "foremesh", "namespace": "istio-system"}}
        port = {"name": "http", "port": 8700, "targetPort": PORT}
        apply(
            namespace(HOME), account, namespace(SPACE, **{"istio-injection": "enabled", "foremesh.dev/managed": "true"}),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "foremesh", "namespace": HOME},
             "spec": {"ports": [port]}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
             "metadata": {"name": "foremesh", "namespace": HOME,
                          "labels": {"kubernetes.io/service-name": "foremesh"}},
             "ports": [{"name": "http", "port": PORT}],
             "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}]},
        )
        self.start()
        objects = self.command("install", "sidecars", "--into", SPACE, "--planner", f"foremesh.{HOME}.svc.cluster.local",
                               "--interval", interval, "--module-port", "8700")
        kubectl("apply", "-f", "-", text=objects)

    def start(self):
        log = open(os.path.join(self.folder, "log"), "a")  # noqa: SIM115  it lives as long as the process
        self.process = subprocess.Popen(
            [os.path.join(ROOT, "scripts", "testbed"), "exec", self.binary, "serve", "--config",
             os.path.join(self.folder, "foremesh.yaml")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=environment())
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


class Load:
    """An open-loop load from a pod through its sidecar, second by second."""

    def __init__(self, pod, rate, seconds):
        self.seconds, self.lock = [], threading.Lock()
        self.process = subprocess.Popen(
            [os.path.join(ROOT, "scripts", "testbed"), "exec", "kubectl", "--namespace", SPACE, "exec", pod, "-c", "app",
             "--", "/workload", "load", "http://web:8080/", "--rate", str(rate), "--seconds", str(seconds),
             "--every-second"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            second = json.loads(line)
            if "over_at_unix_ms" in second:
                with self.lock:
                    self.seconds.append(second)

    def between(self, begin_ms, end_ms):
        """The seconds that lie wholly between."""
        with self.lock:
            return [s for s in self.seconds if s["over_at_unix_ms"] - 1000 >= begin_ms and s["over_at_unix_ms"] <= end_ms]

    def runs(self):
        return self.process.poll() is None

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
