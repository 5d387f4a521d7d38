#!/usr/bin/python3
"""Reads the deployment files the way Docker, Compose and Redis would, and holds them against each other.

    check_deploy.py [ROOT]       prints every mistake; exit status 0 when there is none
    check_deploy.py --self-test  breaks a copy in many ways and expects to be told of each
"""
import fnmatch
import pathlib
import re
import sys

import yaml

import breakages
from breakages import ROOT

# The fleet's settings: redis.conf values, and the memory that is set aside.
BUSES = {
    "marketdata": {"port": "6380", "maxmemory": "16gb", "maxmemory-policy": "allkeys-lru", "save": "60 1000",
                   "appendonly": "yes", "reserved": "16g"},
    "engine-logic": {"port": "6381", "maxmemory": "8gb", "maxmemory-policy": "volatile-lru", "save": '""',
                     "appendonly": "no", "reserved": "8g"},
}
# Started with `--profile monitoring`: what each must have mounted.
MONITORING = {
    "prometheus": ["./prometheus-compose.yml:/etc/prometheus/prometheus.yml:ro", "./alerts.yml:/etc/prometheus/alerts.yml:ro", "prometheus:/prometheus"],
    "grafana": ["./grafana/provisioning:/etc/grafana/provisioning:ro", "./grafana/dashboards:/var/lib/dashboards:ro", "grafana:/var/lib/grafana"],
}
# Fragmentation and buffers need at least this much above maxmemory; a child that writes to disk needs copied pages too.
LIMIT_PER_MAXMEMORY = {"marketdata": 1.3, "engine-logic": 1.15}
# The first releases of each series without the holes that were known in August 2026. Redis 7.0 gets no fixes any more.
SAFE_REDIS = {(7, 2): 16, (7, 4): 11, (8, 2): 9, (8, 4): 6, (8, 6): 6, (8, 8): 2, (8, 10): 1}


def megabytes(text):
    number, unit = re.fullmatch(r"(\d+)([gm])b?", str(text)).groups()
    return int(number) * (1024 if unit == "g" else 1)


def with_variables(text, variables):
    """What Compose makes of ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1]) or found[2], text)


def redis_settings(path):
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


def check_redis(root):
    for bus, fleet in BUSES.items():
        settings = redis_settings(root / f"deploy/redis-{bus}.conf")
        for name in ("port", "maxmemory", "maxmemory-policy", "save", "appendonly"):
            if settings.get(name) != fleet[name]:
                yield f"redis-{bus}.conf: {name} is {settings.get(name)}, the fleet has {fleet[name]}"


def is_safe(image):
    version = re.match(r"redis:(\d+)\.(\d+)\.(\d+)(-|$)", image)
    if not version:
        return False
    major, minor, patch = map(int, version.groups()[:3])
    return patch >= SAFE_REDIS.get((major, minor), sys.maxsize)


def check_sizes(root):
    """With the defaults and with compose-laptop.env the memory of each bus fits its maxmemory, and any host has enough CPUs."""
    text = (root / "deploy/docker-compose.yml").read_text()
    lines = (root / "deploy/compose-laptop.env").read_text().splitlines()
    laptop = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name in laptop:
        if f"${{{name}:-" not in text:
            yield f"compose-laptop.env: docker-compose.yml does not know {name}"
    for file, variables in (("docker-compose.yml", {}), ("compose-laptop.env", laptop)):
        services = yaml.safe_load(with_variables(text, variables))["services"]
        for bus, share in LIMIT_PER_MAXMEMORY.items():
            resources = services[bus]["deploy"]["resources"]
            limit = resources["limits"]["memory"]
            command = services[bus]["command"]
            maxmemory = command[command.index("--maxmemory") + 1] if "--maxmemory" in command else "0m"
            if megabytes(limit) < share * megabytes(maxmemory):
                yield f"{file}: {bus}: limit {limit} leaves too little above maxmemory {maxmemory}: killed before it evicts"
            if megabytes(resources["reservations"]["memory"]) != megabytes(maxmemory):
                yield f"{file}: {bus}: {resources['reservations']['memory']} set aside for maxmemory {maxmemory}"
            if not variables and maxmemory != BUSES[bus]["maxmemory"]:
                yield f"{file}: {bus}: maxmemory is {maxmemory}, the fleet has {BUSES[bus]['maxmemory']}"
        for name, service in services.items():
            cpus = service.get("deploy", {}).get("resources", {}).get("limits", {}).get("cpus", "0")
            if str(cpus) != "0":
                yield f"{file}: {name}: {cpus} CPUs may be more than the host has"


def check_compose(root):
    compose = yaml.safe_load(with_variables((root / "deploy/docker-compose.yml").read_text(), {}))
    services = compose["services"]
    if set(services) != {*BUSES, "dualbusd", *MONITORING}:
        yield f"docker-compose.yml: services {sorted(services)}"
        return
    for name, service in services.items():
        where = f"docker-compose.yml: {name}"
        for forbidden in ("privileged", "network_mode", "pid", "cap_add", "devices"):
            if forbidden in service:
                yield f"{where}: {forbidden} is not needed and not wanted"
        if service.get("cap_drop") != ["ALL"] or service.get("read_only") is not True:
            yield f"{where}: must drop all capabilities and have a read-only root"
        if service.get("ulimits", {}).get("nofile", {}).get("soft", 0) < 10000:
            yield f"{where}: fewer files than clients may connect"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                if not (root / "deploy" / source).exists():
                    yield f"{where}: mounts {source}, which does not exist"
            elif source not in compose["volumes"]:
                yield f"{where}: volume {source} is not declared"
        for network in service.get("networks", []):
            if network not in compose["networks"]:
                yield f"{where}: network {network} is not declared"
    for bus, fleet in BUSES.items():
        service, where = services[bus], f"docker-compose.yml: {bus}"
        reserved = service["deploy"]["resources"]["reservations"]["memory"]
        if reserved != fleet["reserved"]:
            yield f"{where}: {reserved} set aside, the fleet has {fleet['reserved']}"
        if not is_safe(service["image"]):
            yield f"{where}: {service['image']} has known holes, or is not pinned"
        if f"./redis-{bus}.conf:/etc/redis/redis.conf:ro" not in service["volumes"] \
                or "/etc/redis/redis.conf" not in service["command"]:
            yield f"{where}: does not run redis-{bus}.conf"
        if f"-p {fleet['port']} ping" not in " ".join(service.get("healthcheck", {}).get("test", [])):
            yield f"{where}: no health check on port {fleet['port']}"
        condition = services["dualbusd"]["depends_on"].get(bus, {}).get("condition")
        if condition != "service_healthy":
            yield f"docker-compose.yml: dualbusd must wait for {bus} to be healthy, not {condition}"
    if "marketdata:/data" not in services["marketdata"]["volumes"]:
        yield "docker-compose.yml: marketdata: the append-only file lies on no volume"
    if "./dualbus-compose.yaml:/etc/dualbus/dualbus.yaml:ro" not in services["dualbusd"]["volumes"]:
        yield "docker-compose.yml: dualbusd has no configuration mounted"


def check_monitoring(root):
    """Prometheus and Grafana read what deploy/ has, find each other, and are open to this host only."""
    services = yaml.safe_load((root / "deploy/docker-compose.yml").read_text())["services"]
    for name, mounts in MONITORING.items():
        service, where = services.get(name, {}), f"docker-compose.yml: {name}"
        for mount in mounts:
            if mount not in service.get("volumes", []):
                yield f"{where}: does not mount {mount}"
        if service.get("profiles") != ["monitoring"]:
            yield f"{where}: starts without --profile monitoring"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{where}: port {port} is open to other hosts"
        if not re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service.get("image", "")):
            yield f"{where}: image {service.get('image')} has no full version"
        if "buses" in service.get("networks", []):
            yield f"{where}: reaches the Redis servers"
    plain = yaml.safe_load((root / "deploy/prometheus.yml").read_text())
    composed = yaml.safe_load((root / "deploy/prometheus-compose.yml").read_text())
    if composed != yaml.safe_load((root / "deploy/prometheus.yml").read_text().replace("127.0.0.1:9121", "dualbusd:9121")):
        yield "prometheus-compose.yml: differs from prometheus.yml in more than the daemon's address"
    jobs = {job["job_name"]: job for job in plain["scrape_configs"]}
    asked = {target for group in jobs["redis"]["static_configs"] for target in group["targets"]}
    buses = set(yaml.safe_load((root / "config/dualbus.yaml").read_text())["buses"])
    if asked != buses:
        yield f"prometheus.yml: asks for the buses {sorted(asked)}, config/dualbus.yaml has {sorted(buses)}"
    folder = root / "deploy/grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"][0]
    if source["url"] != "http://prometheus:9090":
        yield f"grafana: no Prometheus is at {source['url']}"
    path = yaml.safe_load((folder / "dashboards/dualbus.yml").read_text())["providers"][0]["options"]["path"]
    if not any(mount.split(":")[1] == path for mount in MONITORING["grafana"]):
        yield f"grafana: nothing is mounted at {path}"
    home = services.get("grafana", {}).get("environment", {}).get("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", "")
    if not (root / "deploy/grafana/dashboards" / pathlib.PurePath(home).name).is_file() or str(pathlib.PurePath(home).parent) != path:
        yield f"grafana: there is no dashboard {home}"


def check_config(root):
    """deploy/dualbus-compose.yaml is config/dualbus.yaml with other addresses, which it allows, and nothing else."""
    shipped = yaml.safe_load((root / "config/dualbus.yaml").read_text())
    composed = yaml.safe_load((root / "deploy/dualbus-compose.yaml").read_text())
    shipped["listen"]["address"] = shipped["admin"]["address"] = "0.0.0.0"
    shipped["auth"] = {"allow_unauthenticated": True}
    for bus, settings in shipped["buses"].items():
        service = bus.replace("_", "-")
        settings["endpoint"] = f"{service}:{BUSES[service]['port']}" if service in BUSES else "?"
    if shipped != composed:
        different = sorted(key for key in shipped.keys() | composed.keys() if shipped.get(key) != composed.get(key))
        yield f"dualbus-compose.yaml: differs from config/dualbus.yaml in more than the addresses: {', '.join(different)}"


def ignored(root, source):
    """True if .dockerignore keeps a path out of the build; it knows only the patterns that the file uses."""
    result = False
    for pattern in (root / ".dockerignore").read_text().split("\n"):
        if not pattern or pattern.startswith("#"):
            continue
        bare = pattern.lstrip("!")
        if fnmatch.fnmatch(source, bare) or source.startswith(bare + "/"):
            result = not pattern.startswith("!")
    return result


def check_dockerfile(root):
    text = (root / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    instructions = [line.split(None, 1) for line in lines if line.strip()]
    stages, last = set(), {}
    for word, rest in instructions:
        if word == "FROM":
            image = rest.split()
            if image[0] not in ("debian:12", *stages):
                yield f"Dockerfile: FROM {image[0]} is not Debian 12"
            stages |= set(image[2:])
            last = {}
        last[word] = rest
        if word == "COPY":
            sources = rest.split()[:-1]
            if sources[0].startswith("--from="):
                if sources[0][7:] not in stages:
                    yield f"Dockerfile: COPY from the unknown stage {sources[0][7:]}"
                continue
            for source in sources:
                if not (root / source).exists():
                    yield f"Dockerfile: COPY {source}: does not exist"
                elif ignored(root, source):
                    yield f"Dockerfile: COPY {source}: kept out by .dockerignore"
    text = " ".join(" ".join(pair) for pair in instructions)
    for group in ("build", "run"):
        if f"install-packages.sh {group}" not in text:
            yield f"Dockerfile: does not install the {group} packages with install-packages.sh"
    if last.get("USER", "root").split(":")[0] in ("root", "0"):
        yield "Dockerfile: runs as root"
    if "/healthz" not in last.get("HEALTHCHECK", ""):
        yield "Dockerfile: no HEALTHCHECK on /healthz"
    if last.get("STOPSIGNAL", "SIGTERM") != "SIGTERM":
        yield "Dockerfile: stops with something else than SIGTERM"
    if last.get("EXPOSE", "").split() != ["6379", "9121"]:
        yield "Dockerfile: exposes other ports than 6379 and 9121"


def check_changelog(root):
    version = re.search(r"project\(dualbus VERSION (\S+)", (root / "CMakeLists.txt").read_text())[1]
    newest = re.search(r"(?m)^## \[(.+?)\]", (root / "docs/CHANGELOG.md").read_text())[1]
    if newest != version:
        yield f"CHANGELOG.md: the newest version is {newest}, CMakeLists.txt builds {version}"


def mistakes(root):
    checks = (check_changelog, check_redis, check_compose, check_sizes, check_monitoring, check_config, check_dockerfile)
    return [mistake for check in checks for mistake in check(root)]


# The breakages: where, the text, its replacement, and what must be said about it.
BREAKAGES = [
    ("docs/CHANGELOG.md", "## [0.1.0]", "## [0.0.9]", "the newest version is 0.0.9"),
    ("deploy/redis-marketdata.conf", "maxmemory 16gb", "maxmemory 12gb", "maxmemory is 12gb"),
    ("deploy/redis-marketdata.conf", "appendonly yes", "appendonly no", "appendonly is no"),
    ("deploy/redis-engine-logic.conf", "volatile-lru", "allkeys-lru", "maxmemory-policy is allkeys-lru"),
    ("deploy/redis-engine-logic.conf", 'save ""', "save 60 1", "save is 60 1"),
    ("deploy/docker-compose.yml", "_MEMORY:-22g", "_MEMORY:-16g", "docker-compose.yml: marketdata: limit 16g leaves too little"),
    ("deploy/docker-compose.yml", "_CPUS:-0", "_CPUS:-8", "8 CPUs may be more than the host has"),
    ("deploy/docker-compose.yml", "_MAXMEMORY:-8gb", "_MAXMEMORY:-4gb", "engine-logic: maxmemory is 4gb"),
    ("deploy/docker-compose.yml", "redis:7.2.16-", "redis:7.2.13-", "redis:7.2.13-bookworm has known holes"),
    ("deploy/docker-compose.yml", "redis:7.2.16-bookworm", "redis:7", "redis:7 has known holes, or is not pinned"),
    ("deploy/compose-laptop.env", "MARKETDATA_MEMORY=1536m", "MARKETDATA_MEMORY=1024m",
     "compose-laptop.env: marketdata: limit 1024m leaves"),
    ("deploy/compose-laptop.env", "DUALBUSD_MEMORY", "DUALBUS_MEMORY", "does not know DUALBUS_MEMORY"),
    ("deploy/docker-compose.yml", "restart: unless-stopped", "privileged: true", "privileged is not needed"),
    ("deploy/docker-compose.yml", "engine-logic: {condition: service_healthy}", "engine-logic: {condition: service_started}",
     "dualbusd must wait for engine-logic"),
    ("deploy/docker-compose.yml", "-p 6381 ping", "-p 6380 ping", "no health check on port 6381"),
    ("deploy/docker-compose.yml", "- marketdata:/data", "- other:/data", "volume other is not declared"),
    ("deploy/docker-compose.yml", "./dualbus-compose.yaml:", "./dualbus.yaml:", "./dualbus.yaml, which does not exist"),
    ("deploy/docker-compose.yml", "127.0.0.1:3000:3000", "3000:3000", "grafana: port 3000:3000 is open"),
    ("deploy/docker-compose.yml", "./alerts.yml:", "./alarms.yml:", "./alarms.yml, which does not exist"),
    ("deploy/docker-compose.yml", "grafana/dashboards:/var/lib/dashboards", "grafana/dashboards:/dashboards", "grafana: does not mount"),
    ("deploy/docker-compose.yml", "grafana/grafana:13.1.3", "grafana/grafana:latest", "latest has no full version"),
    ("deploy/docker-compose.yml", "networks: [engines, monitoring]", "networks: [buses, monitoring]", "reaches the Redis servers"),
    ("deploy/docker-compose.yml", "profiles: [monitoring]", "profiles: [other]", "starts without --profile monitoring"),
    ("deploy/docker-compose.yml", "/var/lib/dashboards/dualbus.json", "/var/lib/dashboards/other.json", "there is no dashboard"),
    ("deploy/prometheus-compose.yml", "scrape_interval: 5s", "scrape_interval: 1m", "in more than the daemon's address"),
    ("deploy/prometheus.yml", "marketdata, engine_logic", "marketdata", "asks for the buses ['marketdata']"),
    ("deploy/grafana/provisioning/datasources/prometheus.yml", "prometheus:9090", "prom:9090", "no Prometheus is at"),
    ("deploy/grafana/provisioning/dashboards/dualbus.yml", "/var/lib/dashboards", "/dashboards", "nothing is mounted at"),
    ("deploy/dualbus-compose.yaml", "- order_request", "- order_demand", "in more than the addresses: routing"),
    ("config/dualbus.yaml", "workers: 1", "workers: 2", "in more than the addresses: workers"),
    ("Dockerfile", "COPY src src", "COPY source src", "COPY source: does not exist"),
    (".dockerignore", "!include\n", "", "COPY include: kept out by .dockerignore"),
    ("Dockerfile", "--from=build", "--from=builder", "unknown stage builder"),
    ("Dockerfile", "USER dualbus", "USER root", "runs as root"),
    ("Dockerfile", "/healthz\"]", "/\"]", "no HEALTHCHECK on /healthz"),
    ("Dockerfile", "install-packages.sh run", "true", "does not install the run packages"),
    ("Dockerfile", "FROM debian:12\n", "FROM ubuntu\n", "is not Debian 12"),
]


if __name__ == "__main__":
    sys.exit(breakages.main("check_deploy.py", mistakes, ["deploy", "config", "docs", "src/", "include/", "Dockerfile", ".dockerignore", "CMakeLists.txt", "CMakePresets.json"], BREAKAGES))
