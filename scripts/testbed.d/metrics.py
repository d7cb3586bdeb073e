#!/usr/bin/env python3
"""Serves metrics.k8s.io for a testbed: CPU and memory of its nodes and pods, from their control groups.

metrics-server cannot: it asks kubelets, and each of them reports the whole machine as its node.
Usage: metrics.py GROUP ADDRESS PORT PKI_DIRECTORY; KUBECONFIG tells where the API server is. Runs inside the sandbox.
"""

import http.server
import json
import os
import pathlib
import re
import ssl
import sys
import threading
import time
import urllib.request

GROUP, ADDRESS, PORT, PKI = sys.argv[1], sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[4])
CPU, MEMORY = (pathlib.Path("/sys/fs/cgroup", of, GROUP) for of in ("cpuacct", "memory"))
EVERY_S = 2.0
# CPU is the mean over so many samples.
WINDOW = 4
API = "metrics.k8s.io/v1beta1"


class Cluster:
    """Reads pods from the API server."""

    def __init__(self):
        text = pathlib.Path(os.environ["KUBECONFIG"]).read_text()
        self.server = re.search(r'server: "?([^",}]+)', text).group(1)
        self.token = re.search(r'token: "?([^",}]+)', text).group(1)
        self.trusted = ssl.create_default_context(cafile=str(PKI / "apiserver.crt"))

    def pods(self):
        request = urllib.request.Request(self.server + "/api/v1/pods?resourceVersion=0")
        request.add_header("Authorization", "Bearer " + self.token)
        with urllib.request.urlopen(request, context=self.trusted, timeout=10) as answer:
            return json.load(answer)["items"]


def number(path):
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def groups():
    """The control group of each node and pod, relative to that of the testbed: {key: path}."""
    found = {}
    for node in CPU.iterdir():
        if not (node / "kubepods").is_dir():
            continue
        found["node", node.name] = pathlib.Path(node.name)
        for path in list(node.glob("kubepods/pod*")) + list(node.glob("kubepods/*/pod*")):
            found["pod", path.name[3:]] = path.relative_to(CPU)
    return found


class Meter:
    """Samples control groups and keeps the newest use of each."""

    def __init__(self):
        self.samples, self.used = [], {}

    def sample(self):
        now, wall, usage = time.monotonic(), time.time(), {}
        for key, path in groups().items():
            nanoseconds, memory = number(CPU / path / "cpuacct.usage"), number(MEMORY / path / "memory.usage_in_bytes")
            if nanoseconds is not None:
                usage[key] = (nanoseconds, memory or 0)
        self.samples = [*self.samples[-WINDOW:], (now, usage)]
        used = {}
        for key, (nanoseconds, memory) in usage.items():
            # Since the oldest sample that has it.
            then, before = next(((at, of[key][0]) for at, of in self.samples if key in of))
            if now > then:
                cores = max(0, nanoseconds - before) / 1e9 / (now - then)
                used[key] = (cores, memory, wall, now - then)
        self.used = used

    def run(self):
        while True:
            try:
                self.sample()
            except OSError as error:
                # A group that goes while it is read; the next sample is without it.
                print(error, file=sys.stderr, flush=True)
            time.sleep(EVERY_S)


METER, CLUSTER = Meter(), Cluster()


def usage(key):
    cores, memory, at, window = METER.used[key]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    amounts = {"cpu": f"{round(cores * 1e9)}n", "memory": f"{memory // 1024}Ki"}
    return {"timestamp": stamp, "window": f"{window:.3f}s"}, amounts


def nodes():
    for kind, name in sorted(METER.used):
        if kind == "node":
            when, amounts = usage((kind, name))
            yield {"metadata": {"name": name}, **when, "usage": amounts}


def pods(namespace=None):
    for pod in CLUSTER.pods():
        meta = pod["metadata"]
        key = ("pod", meta["uid"])
        if key in METER.used and namespace in (None, meta["namespace"]):
            when, amounts = usage(key)
            names = {of: meta[of] for of in ("name", "namespace")}
            # A pod's group is not split into containers: all of it is told as one.
            yield {"metadata": names, **when, "containers": [{"name": "all", "usage": amounts}]}


def answer(path):
    """The object at a path, or None."""
    if path == f"/apis/{API}":
        kinds = [("nodes", "NodeMetrics", False), ("pods", "PodMetrics", True)]
        resources = [
            {"name": name, "singularName": "", "kind": kind, "namespaced": within, "verbs": ["get", "list"]}
            for name, kind, within in kinds
        ]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API, "resources": resources}
    place = re.fullmatch(rf"/apis/{API}(?:/namespaces/([^/]+))?/(nodes|pods)(?:/([^/]+))?", path)
    if not place:
        return None
    namespace, of, name = place.groups()
    kind = "NodeMetrics" if of == "nodes" else "PodMetrics"
    items = [{"kind": kind, "apiVersion": API, **item} for item in (nodes() if of == "nodes" else pods(namespace))]
    if name:
        return next((item for item in items if item["metadata"]["name"] == name), None)
    return {"kind": kind + "List", "apiVersion": API, "metadata": {}, "items": items}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            found = answer(self.path.partition("?")[0].rstrip("/"))
            code = 200 if found else 404
        except OSError as error:
            found, code = {"message": str(error)}, 503
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        body = json.dumps(found if code == 200 else {**status, **(found or {"message": "not found"})}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


threading.Thread(target=METER.run, daemon=True).start()
server = http.server.ThreadingHTTPServer((ADDRESS, PORT), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(PKI / "apiserver.crt", PKI / "apiserver.key")
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
