"""Envoy processes of the filter bench: configuration, start, load and what they used."""

import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
MODULES = {
    "ours": os.path.join(ROOT, "build/foremesh_filter.wasm"),
    "noop": os.path.join(ROOT, "build/foremesh_noop.wasm"),
}
ROUTES = 50
# Counts by class, a log histogram and a sum for each route: less than the filter does, because Lua gets neither the
# cluster nor the response flags here.
LUA = """
local routes = {}
local floor, log = math.floor, math.log
function envoy_on_request(handle)
  handle:streamInfo():dynamicMetadata():set("foremesh", "start", handle:timestampString(EnvoyTimestampResolution.MICROSECOND))
end
function envoy_on_response(handle)
  local info = handle:streamInfo()
  local kept = info:dynamicMetadata():get("foremesh")
  if not kept then return end
  local us = tonumber(handle:timestampString(EnvoyTimestampResolution.MICROSECOND)) - tonumber(kept["start"])
  local name = info:routeName()
  local code = tonumber(handle:headers():get(":status"))
  local route = routes[name]
  if not route then
    route = { ok = 0, client = 0, server = 0, sum = 0, latency = {} }
    routes[name] = route
  end
  if code >= 500 then route.server = route.server + 1
  elseif code >= 400 then route.client = route.client + 1
  else route.ok = route.ok + 1 end
  local bucket = us < 1 and 0 or floor(log(us) * 50)
  route.latency[bucket] = (route.latency[bucket] or 0) + 1
  route.sum = route.sum + us
end
"""
TYPE = "type.googleapis.com/envoy.extensions.filters."


def require(tool):
    if not shutil.which(tool):
        sys.exit(f"bench: {tool} is not installed: run scripts/setup bench")


def binary():
    for path in (os.environ.get("FOREMESH_ENVOY"), os.path.join(ROOT, "build/bin/envoy"), shutil.which("envoy")):
        if path and os.access(path, os.X_OK):
            return path
    return sys.exit("bench: there is no envoy: run scripts/setup, or set FOREMESH_ENVOY to the binary")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def chain(kind, count):
    """`count` filters of a kind."""
    if kind == "none":
        return []
    if kind == "lua":
        config = {"@type": TYPE + "http.lua.v3.Lua", "default_source_code": {"inline_string": LUA}}
    else:
        # 1.5 s and not a whole number of rounds, so that flushes fall everywhere.
        settings = {"planner": "planner", "interval_ms": 1500, "log_push": True}
        config = {"@type": TYPE + "http.wasm.v3.Wasm", "config": {
            "name": "foremesh", "root_id": "foremesh", "fail_open": True,
            "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": MODULES[kind]}}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(settings)}}}
    return [{"name": f"{kind}{at}", "typed_config": config} for at in range(count)]


def bootstrap(filters, routes, port, admin, clusters):
    manager = {
        "@type": TYPE + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": filters + [{"name": "router", "typed_config": {"@type": TYPE + "http.router.v3.Router"}}]}
    listener = {"name": "in", "address": address(port), "filter_chains": [{"filters": [
        {"name": "http", "typed_config": manager}]}]}
    return {"node": {"id": "bench-1", "cluster": "bench"}, "admin": {"address": address(admin)},
            "static_resources": {"listeners": [listener], "clusters": clusters}}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, port):
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}}


class Process:
    """One running Envoy."""

    def __init__(self, work, name, config, port, admin, workers):
        self.port, self.log = port, os.path.join(work, f"{name}.log")
        self.script = os.path.join(work, "paths.lua")
        path = os.path.join(work, f"{name}.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(f"local n = 0\nrequest = function() n = n + 1; return wrk.format(nil, '/r' .. (n % {ROUTES})) end\n")
        level = ["-l", "warning", "--component-log-level", "wasm:info"]
        self.child = subprocess.Popen(
            [binary(), "-c", path, "--concurrency", str(workers), "--disable-hot-restart", "--log-path", self.log] + level,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self.ready(admin):
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    sys.exit(f"bench: envoy {name} did not start: {log.read()[-800:]}")
            time.sleep(0.1)

    @staticmethod
    def ready(admin):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def load(self, seconds, connections):
        """Loads the process with wrk; gives the number of requests."""
        text = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", self.script, f"http://127.0.0.1:{self.port}/"],
            capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
        if "Non-2xx" in text or "Socket errors" in text:
            sys.exit(f"bench: the load met errors:\n{text}")
        return int(re.search(r"(\d+) requests in", text).group(1))

    def cpu_us(self):
        """CPU microseconds of all threads so far."""
        total = 0
        for path in glob.glob(f"/proc/{self.child.pid}/task/*/schedstat"):
            try:
                with open(path, encoding="utf-8") as file:
                    total += int(file.read().split()[0])
            except OSError:
                continue
        return total / 1000

    def resident_mb(self):
        with open(f"/proc/{self.child.pid}/status", encoding="utf-8") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def flushes(self):
        """What the filter logged of its pushes."""
        found = []
        with open(self.log, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                values = dict(re.findall(r"(routes|bytes|encode_us|call_us)=(\d+)", line))
                if len(values) == 4:
                    found.append({name: int(value) for name, value in values.items()})
        return found

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Processes:
    """Starts Envoys and ends them all."""

    def __init__(self, work):
        self.work, self.all = work, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.all:
            process.stop()

    def upstream(self):
        """An Envoy that answers everything with 200; also the planner that the filter pushes to."""
        routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}]
        port, admin = free_port(), free_port()
        self.all.append(Process(self.work, "upstream", bootstrap([], routes, port, admin, []), port, admin, 1))
        return port

    def start(self, name, filters, upstream, workers):
        routes = [{"name": f"checkout-{at}", "match": {"path": f"/r{at}"}, "route": {"cluster": SERVICE}}
                  for at in range(ROUTES)]
        port, admin = free_port(), free_port()
        clusters = [cluster(SERVICE, upstream), cluster("planner", upstream)]
        process = Process(self.work, name, bootstrap(filters, routes, port, admin, clusters), port, admin, workers)
        self.all.append(process)
        return process


SERVICE = "outbound|8080||checkout.shop.svc.cluster.local"
