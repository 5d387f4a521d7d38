"""The configurations of deploy/takeover.sh: shows one, and makes those of its steps. For tool.py, which says what is what."""
import hashlib
import json
import os

import yaml

OLD = "main"


def read(path):
    """A configuration as maps, lists and texts; `0777` and `1e3` stay what the daemon sees."""
    with open(path, encoding="utf-8") as file:
        config = yaml.load(file, Loader=yaml.BaseLoader)
    if not isinstance(config, dict) or not isinstance(config.get("buses"), dict):
        raise LookupError("no map 'buses'")
    return config


def section(config, name):
    return config.get(name) or {}


def show(path):
    config = read(path)
    for name, port in (("listen", "6379"), ("admin", "9121")):
        values = section(config, name)
        print(name, values.get("address", "127.0.0.1"), values.get("port", port))
    for name, bus in config["buses"].items():
        print("bus", name, bus.get("state", "active"), bus.get("endpoint", "").removeprefix("unix:"))
    print("pins", len(section(config, "routing").get("keys") or ()))
    print("limits", config.get("workers", "1"), config.get("databases", "1"), section(config, "limits").get("max_clients", "10000"),
          section(config, "backend").get("dedicated_connections", "64"))
    for name, user in section(section(config, "auth"), "users").items():
        print("user", name, *passwords(user, os.path.dirname(os.path.abspath(path))))


def passwords(user, folder):
    """`nopass`, or the SHA-256 of each password."""
    if user.get("enabled") == "false":
        return []
    if user.get("nopass") == "true":
        return ["nopass"]
    hashes = list(user.get("password_hashes") or ())
    texts = []
    if "password_file" in user:
        with open(os.path.join(folder, user["password_file"]), encoding="utf-8") as file:
            texts.append(file.read().rstrip("\r\n"))
    if "password_env" in user:
        texts.append(os.environ.get(user["password_env"], ""))
    return hashes + [hashlib.sha256(text.encode()).hexdigest() for text in texts]


class Editor:
    """A YAML text in which values are changed or added; everything else stays as it is."""

    def __init__(self, text):
        self.text = text

    def put(self, path, value):
        node = yaml.compose(self.text)
        names = path.split(".")
        for depth, name in enumerate(names):
            found = next((child for key, child in node.value if key.value == name), None)
            if found is None:
                return self._insert(node, names[depth:], value)
            node = found
        if not isinstance(node, yaml.ScalarNode):
            raise LookupError(f"'{path}' is not a plain value")
        self._replace(node.start_mark.index, node.end_mark.index, value)

    def _insert(self, node, names, value):
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise LookupError(f"no place for '{names[0]}'")
        for name in reversed(names[1:]):
            value = "{" + f"{name}: {value}" + "}"
        end = ", " if node.flow_style else "\n" + " " * node.value[0][0].start_mark.column
        start = node.value[0][0].start_mark.index
        self._replace(start, start, f"{names[0]}: {value}{end}")

    def remove(self, *path):
        """Takes an entry out, with its lines if it has any, and a map or list together with its last entry."""
        node, parents = yaml.compose(self.text), []
        for name in path:
            listed = isinstance(node, yaml.SequenceNode)
            index = name if listed else [key.value for key, _ in node.value].index(name)
            parents.append((node, index))
            node = node.value[index] if listed else node.value[index][1]
        while len(parents) > 1 and len(parents[-1][0].value) == 1:
            parents.pop()
        node, index = parents[-1]
        entries = [entry if isinstance(entry, tuple) else (entry, entry) for entry in node.value]
        start, end = entries[index][0].start_mark.index, self._end(entries[index][1])
        if not node.flow_style:
            line_end = self.text.find("\n", end) + 1
            self._replace(self.text.rfind("\n", 0, start) + 1, line_end or len(self.text), "")
        elif index + 1 < len(entries):
            self._replace(start, entries[index + 1][0].start_mark.index, "")
        else:
            self._replace(self._end(entries[index - 1][1]) if index else start, end, "")

    def _end(self, node):
        """Behind the last character of the value, not of what follows."""
        if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
            return node.end_mark.index
        last = node.value[-1]
        return self._end(last[1] if isinstance(last, tuple) else last)

    def _replace(self, start, end, value):
        self.text = self.text[:start] + value + self.text[end:]


def forward(source, target, port, endpoint, password_file=""):
    config = read(source)
    if OLD in config["buses"]:
        raise LookupError(f"there is a bus '{OLD}' already")
    with open(source, encoding="utf-8") as file:
        editor = Editor(file.read())
    users = section(section(config, "auth"), "users")
    for where, entries in (("buses", config["buses"]), ("auth.users", users)):
        for name, entry in entries.items():
            if "password_file" in entry:  # relative to the directory of the file, which has changed
                path = os.path.join(os.path.dirname(os.path.abspath(source)), entry["password_file"])
                editor.put(f"{where}.{name}.password_file", json.dumps(path))
    password = f", password_file: {json.dumps(os.path.abspath(password_file))}" if password_file else ""
    editor.put(f"buses.{OLD}", "{" + f'id_slot: 0, endpoint: "{endpoint}", state: draining{password}' + "}")
    editor.put("routing.default_key_bus", OLD)
    editor.put("listen.port", port)
    write(target, editor.text)


def back(source, target, moved=""):
    config = read(source)
    for name, bus in config["buses"].items():
        bus["state"] = "active" if name == OLD else "draining"
    routing = config["routing"] = dict(section(config, "routing"), default_bus=OLD, default_key_bus=OLD)
    for rules in ("types", "keys"):
        routing.pop(rules, None)
    if moved:
        routing["moved_streams"] = moved
    config["anchor"] = OLD
    write(target, dump(config))


def dump(config):
    return yaml.safe_dump(config, sort_keys=False, width=120)


def entries_of(config):
    """The paths of everything that names `main`, in an order in which they can be taken out one by one."""
    yield "buses", OLD
    routing = section(config, "routing")
    if routing.get("default_key_bus") == OLD:
        yield "routing", "default_key_bus"
    if OLD in section(routing, "types"):
        yield "routing", "types", OLD
    for rules in ("keys", "channels"):
        for index, rule in reversed(list(enumerate(routing.get(rules) or ()))):
            if rule.get("bus") == OLD:
                yield "routing", rules, index


def take_out(collection, path):
    """From what was read, as Editor.remove does from the text."""
    if len(path) > 1:
        take_out(collection[path[0]], path[1:])
    if len(path) == 1 or not collection[path[0]]:
        del collection[path[0]]


def without(source, target, moved=""):
    config = read(source)
    if OLD not in config["buses"]:
        raise LookupError(f"there is no bus '{OLD}'")
    slots = list(config.get("retired_slots") or ())
    slots += [slot for slot in [config["buses"][OLD]["id_slot"]] if slot not in slots]
    with open(source, encoding="utf-8") as file:
        editor = Editor(file.read())
    paths = list(entries_of(config))
    if "retired_slots" in config:
        paths.append(("retired_slots",))
    for path in paths:
        take_out(config, path)
    config["retired_slots"] = slots
    if moved:
        config["routing"] = dict(section(config, "routing"), moved_streams=moved)
    write(target, edited(editor, paths, slots, moved, config) or dump(config))


def edited(editor, paths, slots, moved, wanted):
    """The text, or None if it is written in a way in which it cannot be edited."""
    try:
        for path in paths:
            editor.remove(*path)
        editor.put("retired_slots", f"[{', '.join(slots)}]")
        if moved:
            editor.put("routing.moved_streams", moved)
        return editor.text if yaml.load(editor.text, Loader=yaml.BaseLoader) == wanted else None
    except (LookupError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        return None


def write(target, text):
    with open(target + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(target + ".new", target)
