#!/usr/bin/python3
"""Copies a YAML file with some values changed; comments and everything else stay as they are.

    set_yaml_values.py SOURCE TARGET listen.port=7379 buses.marketdata.endpoint=127.0.0.1:7380 ...

Each path must exist in SOURCE and lead to a plain value.
"""
import sys

import yaml


def find(node, path):
    for name in path.split("."):
        children = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in children if key.value == name), None)
        if node is None:
            raise LookupError(f"no key {path!r}")
    if not isinstance(node, yaml.ScalarNode):
        raise LookupError(f"{path!r} is not a plain value")
    return node


def main(source, target, *changes):
    with open(source, encoding="utf-8") as file:
        text = file.read()
    root = yaml.compose(text)
    nodes = []
    for change in changes:
        path, _, value = change.partition("=")
        nodes.append((find(root, path), value))
    # From the end of the text to its beginning, so that the positions before a change stay right.
    for node, value in sorted(nodes, key=lambda pair: -pair[0].start_mark.index):
        quote = node.style if node.style in ("'", '"') else ""
        text = text[:node.start_mark.index] + quote + value + quote + text[node.end_mark.index:]
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (LookupError, OSError, yaml.YAMLError) as error:
        sys.exit(f"set_yaml_values.py: {sys.argv[1]}: {error}")
