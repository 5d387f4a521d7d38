#!/usr/bin/python3
"""Reads deploy/kubernetes as kustomize and Kubernetes would: no field but known ones, and everything that must agree agrees.

    check_kubernetes.py [ROOT]       prints every mistake; exit status 0 when there is none
    check_kubernetes.py --self-test  breaks a copy in many ways and expects to be told of each

The API server refuses or drops what it does not know, and there is none here. So FIELDS lists every field that the manifests
use, as version 1.32 of the schemas has it: look a new one up there before you add it.
"""
import pathlib
import re
import sys

import yaml

import breakages
from breakages import ROOT

FOLDER = "deploy/kubernetes"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PROTOCOL = {"TCP", "UDP"}
QUANTITY = re.compile(r"\d+(m|Ki|Mi|Gi)?")
DURATION = re.compile(r"\d+(ms|s|m)")
# A type, a set of allowed values, or a pattern. `*` is any key, `[]` every element of a list.
METADATA = {"apiVersion": str, "kind": str, "metadata.name": NAME, "metadata.labels.*": str}
POD = "spec.template.spec."
CONTAINER = POD + "containers[]."
PROBE = {"httpGet.path": re.compile("/[a-z]+"), "httpGet.port": NAME, "periodSeconds": int, "timeoutSeconds": int, "failureThreshold": int}
PEER = {"podSelector.matchLabels.*": str, "namespaceSelector.matchLabels.*": str}
RULE = {"ports[].port": int, "ports[].protocol": PROTOCOL}
FIELDS = {
    ("apps/v1", "Deployment"): {
        **METADATA, "spec.replicas": int, "spec.revisionHistoryLimit": int, "spec.minReadySeconds": int,
        "spec.strategy.type": {"RollingUpdate"}, "spec.strategy.rollingUpdate.maxSurge": int,
        "spec.strategy.rollingUpdate.maxUnavailable": int, "spec.selector.matchLabels.*": str, "spec.template.metadata.labels.*": str,
        POD + "automountServiceAccountToken": bool, POD + "enableServiceLinks": bool, POD + "terminationGracePeriodSeconds": int,
        POD + "securityContext.runAsNonRoot": bool, POD + "securityContext.runAsUser": int, POD + "securityContext.runAsGroup": int,
        POD + "securityContext.seccompProfile.type": {"RuntimeDefault"},
        POD + "topologySpreadConstraints[].topologyKey": {"kubernetes.io/hostname", "topology.kubernetes.io/zone"},
        POD + "topologySpreadConstraints[].maxSkew": int,
        POD + "topologySpreadConstraints[].whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
        POD + "topologySpreadConstraints[].labelSelector.matchLabels.*": str,
        CONTAINER + "name": NAME, CONTAINER + "image": str, CONTAINER + "args[]": str, CONTAINER + "ports[].name": NAME,
        CONTAINER + "ports[].containerPort": int, CONTAINER + "ports[].protocol": PROTOCOL,
        **{f"{CONTAINER}{probe}Probe.{field}": kind for probe in ("readiness", "liveness") for field, kind in PROBE.items()},
        CONTAINER + "lifecycle.preStop.exec.command[]": str, CONTAINER + "resources.requests.cpu": QUANTITY,
        CONTAINER + "resources.requests.memory": QUANTITY, CONTAINER + "resources.limits.memory": QUANTITY,
        CONTAINER + "securityContext.allowPrivilegeEscalation": bool, CONTAINER + "securityContext.readOnlyRootFilesystem": bool,
        CONTAINER + "securityContext.capabilities.drop[]": str, CONTAINER + "volumeMounts[].name": NAME,
        CONTAINER + "volumeMounts[].mountPath": str, CONTAINER + "volumeMounts[].readOnly": bool,
        POD + "volumes[].name": NAME, POD + "volumes[].configMap.name": NAME},
    ("v1", "Service"): {
        **METADATA, "spec.type": {"ClusterIP"}, "spec.clusterIP": {"None"}, "spec.publishNotReadyAddresses": bool, "spec.selector.*": str,
        "spec.ports[].name": NAME, "spec.ports[].port": int, "spec.ports[].targetPort": NAME, "spec.ports[].protocol": PROTOCOL},
    ("policy/v1", "PodDisruptionBudget"): {
        **METADATA, "spec.maxUnavailable": int, "spec.unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"},
        "spec.selector.matchLabels.*": str},
    ("networking.k8s.io/v1", "NetworkPolicy"): {
        **METADATA, "spec.podSelector.matchLabels.*": str, "spec.policyTypes[]": {"Ingress", "Egress"},
        **{f"spec.{direction}[].{field}": kind for direction in ("ingress", "egress") for field, kind in RULE.items()},
        **{"spec.ingress[].from[]." + field: kind for field, kind in PEER.items()},
        **{"spec.egress[].to[]." + field: kind for field, kind in PEER.items()}},
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        **METADATA, "spec.jobLabel": str, "spec.selector.matchLabels.*": str, "spec.endpoints[].port": NAME, "spec.endpoints[].path": str,
        "spec.endpoints[].interval": DURATION, "spec.endpoints[].scrapeTimeout": DURATION},
    ("kustomize.config.k8s.io/v1beta1", "Kustomization"): {
        "apiVersion": str, "kind": str, "labels[].pairs.*": str, "labels[].includeSelectors": bool, "resources[]": str,
        "configMapGenerator[].name": NAME, "configMapGenerator[].files[]": str, "images[].name": str, "images[].newName": str,
        "images[].newTag": str},
}


def leaves(value, path=""):
    """(path, value) of every value in a document that is neither a map nor a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path + "[]")
    else:
        yield path, value


def fits(value, kind):
    if isinstance(kind, type):
        return type(value) is kind  # pylint: disable=unidiomatic-typecheck
    if isinstance(kind, set):
        return value in kind
    return isinstance(value, str) and kind.fullmatch(value) is not None


def check_fields(documents):
    for file, document in documents:
        fields = FIELDS.get((document.get("apiVersion"), document.get("kind")))
        if fields is None:
            yield f"{file}: {document.get('apiVersion')} {document.get('kind')} is not known"
            continue
        for path, value in leaves(document):
            kind = fields.get(path)
            if kind is None:  # the keys of labels have dots themselves
                kind = next((each for name, each in fields.items() if name.endswith(".*") and path.startswith(name[:-1])), None)
            if kind is None:
                yield f"{file}: {document['kind']} has no field {path}"
            elif not fits(value, kind):
                yield f"{file}: {document['kind']}: {path} cannot be {value!r}"


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def matches(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def check_pod(root, deployment, config):
    """The pod against the image, the daemon's configuration and itself."""
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if ports != {"redis": config["listen"]["port"], "admin": config["admin"]["port"]}:
        yield f"the container has the ports {ports}, dualbus.yaml {config['listen']['port']} and {config['admin']['port']}"
    for listener in ("listen", "admin"):
        if config[listener]["address"] != "0.0.0.0":
            yield f"dualbus.yaml: {listener}.address {config[listener]['address']} cannot be reached from outside of the pod"
    if deployment["spec"]["replicas"] < 2:
        yield "one daemon is not enough"
    if deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "an old daemon must not go before a new one serves"
    for probe, page in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        asked = container[probe]["httpGet"]
        if asked["path"] != page or ports.get(asked["port"]) != config["admin"]["port"]:
            yield f"{probe} asks {asked['path']} at {asked['port']}, not {page} at the admin port"
    pages = (root / "docs/availability.md").read_text()
    if "`/readyz`" not in pages or "`/healthz`" not in pages:
        yield "docs/availability.md does not know the pages of the probes"
    yield from check_drain(pod, container, config)
    yield from check_rights(root, pod, container)
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    sources = {volume["name"]: volume.get("configMap", {}).get("name") for volume in pod["volumes"]}
    if set(mounts) != set(sources) or sources.get("config") != "dualbus-config":
        yield f"mounted are {sorted(mounts)}, and there are {sources}"
    if container["args"] != ["--config", f"{mounts.get('config')}/dualbus.yaml"]:
        yield f"the daemon reads {container['args']}, mounted is {mounts.get('config')}"


def check_drain(pod, container, config):
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    waits = re.fullmatch(r"kill -USR1 1 && sleep (\d+)", command[-1])
    if command[:-1] != ["bash", "-c"] or not waits:
        yield f"preStop does not drain: {command}"
        return
    delay, shutdown = seconds(config["limits"]["drain_delay"]), seconds(config["limits"]["shutdown_timeout"])
    if int(waits[1]) != delay:
        yield f"preStop waits {waits[1]} s, drain_delay is {delay} s"
    if pod["terminationGracePeriodSeconds"] <= delay + shutdown:
        yield f"killed after {pod['terminationGracePeriodSeconds']} s, before it has drained ({delay} s) and ended ({shutdown} s)"
    readiness = container["readinessProbe"]
    if readiness["periodSeconds"] * readiness["failureThreshold"] >= delay:
        yield "drain_delay is over before the readiness probe has noticed"


def check_rights(root, pod, container):
    rights, limits = pod["securityContext"], container["securityContext"]
    user = re.search(r"useradd .*--uid (\d+)", (root / "Dockerfile").read_text())[1]
    if not rights["runAsNonRoot"] or rights["runAsUser"] != int(user):
        yield f"the pod's user is {rights['runAsUser']}, the image's {user}"
    if not limits["readOnlyRootFilesystem"] or limits["allowPrivilegeEscalation"] or limits["capabilities"]["drop"] != ["ALL"]:
        yield "the container has more rights than it needs"
    if pod["automountServiceAccountToken"]:
        yield "the daemon needs no token of the API server"
    if "requests" not in container["resources"]:
        yield "the container requests nothing"


def check_selectors(objects, deployment):
    """Everything that selects the pods does, and the pod template is what the Deployment selects."""
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    selectors = {"Deployment": deployment["spec"]["selector"]["matchLabels"],
                 "PodDisruptionBudget": objects["PodDisruptionBudget", "dualbus"]["spec"]["selector"]["matchLabels"],
                 "NetworkPolicy": objects["NetworkPolicy", "dualbus"]["spec"]["podSelector"]["matchLabels"]}
    for number, spread in enumerate(deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]):
        selectors[f"topologySpreadConstraints[{number}]"] = spread["labelSelector"]["matchLabels"]
    for name in ("dualbus", "dualbus-admin"):
        service = objects["Service", name]
        selectors[f"Service {name}"] = service["spec"]["selector"]
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"Service {name} leads to the port {port['targetPort']}, which the pod has not"
    for name, selector in selectors.items():
        if not matches(selector, labels):
            yield f"{name} selects {selector}, the pod has {labels}"
    monitor, admin = objects["ServiceMonitor", "dualbus"]["spec"], objects["Service", "dualbus-admin"]
    if not matches(monitor["selector"]["matchLabels"], admin["metadata"]["labels"]):
        yield "the ServiceMonitor does not select the Service dualbus-admin"
    if matches(monitor["selector"]["matchLabels"], objects["Service", "dualbus"]["metadata"]["labels"]):
        yield "the ServiceMonitor selects the Service of the engines, too"
    if admin["metadata"]["labels"].get(monitor["jobLabel"]) != "dualbus":
        yield f"the job of the metrics is not dualbus, as the alerts expect: jobLabel {monitor['jobLabel']}"
    for endpoint in monitor["endpoints"]:
        if endpoint["port"] not in {port["name"] for port in admin["spec"]["ports"]} or endpoint["path"] != "/metrics":
            yield f"the ServiceMonitor asks {endpoint['path']} at {endpoint['port']}"
        if seconds(endpoint["scrapeTimeout"]) > seconds(endpoint["interval"]):
            yield "the ServiceMonitor waits longer for an answer than between two questions"


def check_network(policy, config):
    """Engines reach the one port, Prometheus the other; the daemon reaches its buses and DNS."""
    spec = policy["spec"]
    if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
        yield "NetworkPolicy: one of the two directions is open"
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec[direction]:
            chosen = [peer.get("podSelector", {}).get("matchLabels") for peer in rule.get(peers, [])]
            if not chosen or not all(chosen) or not rule.get("ports"):
                yield f"NetworkPolicy: a rule of {direction} is open to everybody or for every port"
    opened = [[(port["port"], port["protocol"]) for port in rule["ports"]] for rule in spec["ingress"]]
    if opened != [[(config["listen"]["port"], "TCP")], [(config["admin"]["port"], "TCP")]]:
        yield f"NetworkPolicy: lets others in to {opened}"
    buses = sorted((int(bus["endpoint"].rsplit(":", 1)[1]), "TCP") for bus in config["buses"].values())
    reached = [sorted((port["port"], port["protocol"]) for port in rule["ports"]) for rule in spec["egress"]]
    if reached != [buses, [(53, "TCP"), (53, "UDP")]]:
        yield f"NetworkPolicy: lets the daemon out to {reached}, its buses are at {buses}"


def check_budget(budget, deployment):
    missing, replicas = budget["spec"]["maxUnavailable"], deployment["spec"]["replicas"]
    if not 0 < missing < replicas:
        yield f"PodDisruptionBudget: {missing} of {replicas} daemons may be missing"


def check_kustomization(root, kustomization, config):
    folder = root / FOLDER
    named = {*kustomization["resources"], *(file for each in kustomization["configMapGenerator"] for file in each["files"])}
    there = {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
    if named != there:
        yield f"kustomization.yaml names {sorted(named)}, there are {sorted(there)}"
    if [each["name"] for each in kustomization["configMapGenerator"]] != ["dualbus-config"]:
        yield "kustomization.yaml: no ConfigMap dualbus-config"
    version = re.search(r"project\(dualbus VERSION (\S+)", (root / "CMakeLists.txt").read_text())[1]
    image = {"name": "dualbus", "newName": "registry.example.com/dualbus", "newTag": version}
    if kustomization["images"] != [image]:
        yield f"kustomization.yaml: the image is {kustomization['images']}, not version {version}"
    shipped = yaml.safe_load((root / "config/dualbus.yaml").read_text())
    for bus, settings in shipped["buses"].items():
        if config["buses"].get(bus, {}).get("id_slot") != settings["id_slot"]:
            yield f"dualbus.yaml: the bus {bus} has another id_slot than in config/dualbus.yaml"
    for key in ("anchor", "missing_group"):
        if config[key] != shipped[key]:
            yield f"dualbus.yaml: {key} differs from config/dualbus.yaml"


def mistakes(root):
    folder = root / FOLDER
    config = yaml.safe_load((folder / "dualbus.yaml").read_text())
    documents = [(path.name, document) for path in sorted(folder.glob("*.yaml")) if path.name != "dualbus.yaml"
                 for document in yaml.safe_load_all(path.read_text())]
    found = list(check_fields(documents))
    if found:
        return found  # the other checks need known fields
    objects = {(document["kind"], document.get("metadata", {}).get("name", "")): document for _, document in documents}
    expected = {("Deployment", "dualbus"), ("Service", "dualbus"), ("Service", "dualbus-admin"), ("PodDisruptionBudget", "dualbus"),
                ("NetworkPolicy", "dualbus"), ("ServiceMonitor", "dualbus"), ("Kustomization", "")}
    if set(objects) != expected or len(objects) != len(documents):
        return [f"the objects are {sorted(objects)}"]
    deployment = objects["Deployment", "dualbus"]
    checks = (check_pod(root, deployment, config), check_budget(objects["PodDisruptionBudget", "dualbus"], deployment),
              check_selectors(objects, deployment), check_network(objects["NetworkPolicy", "dualbus"], config),
              check_kustomization(root, objects["Kustomization", ""], config))
    for check in checks:
        try:
            found += check
        except KeyError as error:
            found.append(f"there is no {error}")
    return found



# The breakages: file, the text, its replacement, and what must be said about it.
BREAKAGES = [
    ("deployment.yaml", "failureThreshold", "failureThresold", "has no field " + CONTAINER + "readinessProbe.failureThresold"),
    ("deployment.yaml", "replicas: 2", 'replicas: "2"', "spec.replicas cannot be '2'"),
    ("deployment.yaml", "apps/v1", "apps/v1beta1", "apps/v1beta1 Deployment is not known"),
    ("deployment.yaml", "replicas: 2", "replicas: 1", "one daemon is not enough"),
    ("deployment.yaml", "containerPort: 9121", "containerPort: 9122", "the container has the ports"),
    ("deployment.yaml", "path: /readyz", "path: /healthz", "readinessProbe asks /healthz"),
    ("deployment.yaml", "path: /healthz, port: admin", "path: /healthz, port: redis", "livenessProbe asks /healthz at redis"),
    ("deployment.yaml", "kill -USR1 1 && sleep 10", "sleep 10", "preStop does not drain"),
    ("deployment.yaml", "sleep 10", "sleep 5", "preStop waits 5 s, drain_delay is 10 s"),
    ("deployment.yaml", "PeriodSeconds: 30", "PeriodSeconds: 20", "killed after 20 s"),
    ("deployment.yaml", "runAsUser: 10001", "runAsUser: 10002", "the pod's user is 10002, the image's 10001"),
    ("deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "more rights than it needs"),
    ("deployment.yaml", "mountPath: /etc/dualbus,", "mountPath: /etc/dualbusd,", "mounted is /etc/dualbusd"),
    ("deployment.yaml", "maxUnavailable: 0", "maxUnavailable: 1", "must not go before a new one serves"),
    ("dualbus.yaml", "drain_delay: 10s", "drain_delay: 20s", "drain_delay is 20 s"),
    ("dualbus.yaml", "redis-marketdata:6380", "redis-marketdata:6379", "lets the daemon out to"),
    ("dualbus.yaml", "id_slot: 1", "id_slot: 3", "another id_slot"),
    ("dualbus.yaml", "address: 0.0.0.0, port: 9121", "address: 127.0.0.1, port: 9121", "admin.address 127.0.0.1 cannot be reached"),
    ("service.yaml", "targetPort: redis", "targetPort: resp", "the port resp, which the pod has not"),
    ("service.yaml", "component: admin", "component: metrics", "does not select the Service dualbus-admin"),
    ("service.yaml", "selector: {app.kubernetes.io/name: dualbus}", "selector: {app: dualbus}", "Service dualbus selects"),
    ("disruption-budget.yaml", "maxUnavailable: 1", "maxUnavailable: 2", "2 of 2 daemons may be missing"),
    ("disruption-budget.yaml", "maxUnavailable", "maxMissing", "has no field spec.maxMissing"),
    ("network-policy.yaml", "port: 9121", "port: 6379", "lets others in to"),
    ("network-policy.yaml", "[Ingress, Egress]", "[Ingress]", "one of the two directions is open"),
    ("network-policy.yaml", "matchLabels: {dualbus-client: \"true\"}", "matchLabels: {}", "open to everybody"),
    ("network-policy.yaml", "- podSelector:\n            matchLabels: {dualbus", "- namespaceSelector:\n            matchLabels: {dualbus",
     "open to everybody"),
    ("deployment.yaml", "      automountServiceAccountToken: false\n", "", "there is no 'automountServiceAccountToken'"),
    ("service-monitor.yaml", "jobLabel: app.kubernetes.io/name", "jobLabel: app", "the job of the metrics is not dualbus"),
    ("service-monitor.yaml", "port: admin", "port: metrics", "asks /metrics at metrics"),
    ("kustomization.yaml", "  - service.yaml\n", "", "kustomization.yaml names"),
    ("kustomization.yaml", "newTag: 0.1.0", "newTag: 0.0.9", "not version"),
]


if __name__ == "__main__":
    sys.exit(breakages.main("check_kubernetes.py", mistakes, ["deploy", "config", "docs", "Dockerfile", "CMakeLists.txt"], [(f"{FOLDER}/{file}", *rest) for file, *rest in BREAKAGES]))
