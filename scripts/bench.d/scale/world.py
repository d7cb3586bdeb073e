"""A large cluster in which nothing runs: what people write of nodes and workloads, as a mesh would have it.

Nodes and pods are kept alive by KWOK; the testbed's own controllers and scheduler make the pods and place them.
"""

import json

NAMESPACES = 20
SEEMS = {"type": "kwok"}
# What an application, its sidecar and the agent that sets up its network have in a mesh.
VARIABLES = 15


def node(number):
    name = f"seems-{number}"
    amounts = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "annotations": {"node.alpha.kubernetes.io/ttl": "0", "kwok.x-k8s.io/node": "fake"},
            "labels": {**SEEMS, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                       "topology.kubernetes.io/zone": f"zone-{'abc'[number % 3]}"},
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def container(name, cpu, memory):
    return {
        "name": name, "image": f"registry.example/team/{name}:1.2.3",
        "env": [{"name": f"VARIABLE_{n}", "value": "a value of the usual length"} for n in range(VARIABLES)],
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "2", "memory": "1Gi"}},
        "ports": [{"containerPort": 8080}],
    }


def workload(number, replicas):
    """A Deployment with a sidecar in its template, a Service, and for some a route and a rule."""
    name, space = f"service-{number}", f"team-{number % NAMESPACES}"
    labels = {"app": name, "version": "v1", "security.istio.io/tlsMode": "istio",
              "service.istio.io/canonical-name": name, "service.istio.io/canonical-revision": "v1"}
    status = json.dumps({"initContainers": ["istio-init"], "containers": ["istio-proxy"], "revision": "default",
                         "volumes": ["workload-socket", "credential-socket", "istio-envoy", "istio-data"]})
    template = {
        "metadata": {"labels": labels, "annotations": {"sidecar.istio.io/status": status}},
        "spec": {
            "nodeSelector": SEEMS, "enableServiceLinks": False,
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}],
            "containers": [container("app", "100m", "64Mi"), container("istio-proxy", "10m", "40Mi")],
            "initContainers": [container("istio-init", "10m", "10Mi")],
            "topologySpreadConstraints": [{
                "maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": name}}}],
        },
    }
    meta = {"name": name, "namespace": space}
    host = f"{name}.{space}.svc.cluster.local"
    objects = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
         "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}},
        # Rules for kube-proxy of so many pods would take the CPU of the machine, and nobody calls them.
        {"apiVersion": "v1", "kind": "Service",
         "metadata": {**meta, "labels": {"service.kubernetes.io/service-proxy-name": "nobody"}},
         "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 8080}]}},
    ]
    if number % 2 == 0:
        objects.append({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta,
            "spec": {"host": host, "trafficPolicy": {"connectionPool": {"http": {"http2MaxRequests": 100}}},
                     "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}})
    if number % 4 == 0:
        objects.append({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta,
            "spec": {"hosts": [host], "http": [{"timeout": "2s", "retries": {"attempts": 2},
                                                "route": [{"destination": {"host": host, "subset": "v1"}}]}]}})
    if number % 5 == 0:
        objects.append({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}})
    return objects
