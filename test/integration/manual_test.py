"""What the daemon prints about itself: manual pages, completion, the schema of its configuration."""
import glob
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import jsonschema
import yaml

DUALBUSD = os.environ["DUALBUSD"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def printed(option):
    return subprocess.run([DUALBUSD, option], capture_output=True, check=True, timeout=60).stdout.decode()


def documented_keys():
    """Keys without a section have a heading of the second level, as sections have, which say nothing of a default."""
    text = printed("--config-reference")
    keys = re.findall(r"(?m)^### `(.+)`$", text)
    return set(keys) | set(re.findall(r"(?m)^## (\w+)\n\n\*", text))


class ManualPagesTest(unittest.TestCase):
    def rendered(self, option):
        """As a reader sees it; the formatter has nothing to complain of."""
        page = printed(option)
        self.assertTrue(page.isascii())
        with tempfile.NamedTemporaryFile("w", suffix=".8") as file:
            file.write(page)
            file.flush()
            done = subprocess.run(["man", "--warnings=all", "--no-hyphenation", "--local-file", file.name], capture_output=True, timeout=60,
                                  check=True, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "500", "MANPAGER": "cat", "MAN_KEEP_FORMATTING": ""})
        self.assertEqual(done.stderr.decode(), "")
        return re.sub(r".\x08", "", done.stdout.decode())

    def test_the_options_are_those_of_the_help(self):
        text = self.rendered("--man-page")
        shown = set(re.findall(r"--[a-z-]+", printed("--help")))
        self.assertIn("--check-config", shown)
        self.assertEqual(set(re.findall(r"(?m)^ {7}(?:-\w, )?(--[a-z-]+)", text)), shown)
        for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SIGNALS", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"):
            self.assertRegex(text, f"(?m)^{heading}$")
        self.assertIn("dualbusd - one Redis for its clients", text)

    def test_every_key_of_the_configuration_has_its_place(self):
        text = self.rendered("--config-man-page")
        for key in documented_keys():
            self.assertRegex(text, f"(?m)^ *{re.escape(key)}$")
        # Code stays what somebody can copy, and no mark of Markdown is left.
        self.assertIn('marketdata: {id_slot: 1, endpoint: "127.0.0.1:6380", latency_target: 1ms}', text)
        self.assertEqual(re.findall(r"(?m)^.*(?:`|\]\(|^ {0,7}#).*$", text), [])


class CompletionTest(unittest.TestCase):
    def completed(self, *words):
        with tempfile.NamedTemporaryFile("w", suffix=".bash") as file:
            file.write(printed("--bash-completion"))
            file.flush()
            script = 'compopt() { :; }; . "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dualbusd; printf "%s\\n" "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "-euc", script, "bash", file.name, "dualbusd", *words], capture_output=True, timeout=60, check=True, cwd=ROOT)
        self.assertEqual(done.stderr, b"")
        return set(done.stdout.decode().split())

    def test_options_and_files_are_offered(self):
        self.assertEqual(self.completed("--config-"), {"--config-reference", "--config-schema"})
        offered = re.findall(r"(?m)^  (?:(-\w),)?(--[a-z-]+)", printed("--help"))
        self.assertEqual(self.completed(""), {word for words in offered for word in words if word})
        self.assertEqual(self.completed("--check-config", "config/pl"), {"config/plain.yaml"})
        self.assertEqual(self.completed("--config", "=", "config/se"), {"config/sentinel.yaml"})
        self.assertEqual(self.completed("--check-config", "--conf"), {"--config", "--config-reference", "--config-schema"})


class PlainLoader(yaml.SafeLoader):
    """YAML 1.2, as editors read it: `off` is a text, and 0700 a number in decimal."""


PlainLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in (("null", r"^(~|null|Null|NULL|)$", "~nN"), ("bool", r"^(true|True|TRUE|false|False|FALSE)$", "tTfF"),
                            ("int", r"^[-+]?[0-9]+$", "-+0123456789"), ("float", r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$", "-+.0123456789")):
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), [*first, ""] if tag == "null" else list(first))
PlainLoader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node), 10))

BUS = 'buses:\n  a: {id_slot: 1, endpoint: "127.0.0.1:6380"}\n'
# What a schema can know; both the daemon and the schema refuse each.
WRONG = {
    "no bus": "workers: 1\n",
    "a list for a map": "buses: [a]\n",
    "an unknown section": BUS + "ruoting: {}\n",
    "an unknown key": BUS + "limits: {max_client: 5}\n",
    "a key of a bus that is missing": 'buses:\n  a: {endpoint: "h:1"}\n',
    "an endpoint without a port": "buses:\n  a: {id_slot: 1, endpoint: localhost}\n",
    "the URL of a client": 'buses:\n  a: {id_slot: 1, endpoint: "redis://u:p@h:1"}\n',
    "the name of a bus": 'buses:\n  A B: {id_slot: 1, endpoint: "h:1"}\n',
    "a password": 'buses:\n  a: {id_slot: 1, endpoint: "h:1", password: x}\n',
    "a number too large": BUS + "workers: 129\n",
    "a number that is none": BUS + "workers: many\n",
    "a number with leading zeros in quotes": BUS + 'workers: "01"\n',
    "a duration without a unit": BUS + "backend: {connect_timeout: 100}\n",
    "a duration in capitals": BUS + "backend: {connect_timeout: 1S}\n",
    "bytes in an unknown unit": BUS + "limits: {max_request: 64mib}\n",
    "bytes out of range": BUS + "limits: {max_request: 10}\n",
    "a word that is no choice": BUS + "absorb: sometimes\n",
    "a level that does not exist": BUS + "log: {level: loud}\n",
    "a relative path": BUS + "listen: {unix_socket: here.sock}\n",
    "an address with a name": BUS + "listen: {address: localhost}\n",
    "permissions that are not octal": BUS + 'listen: {unix_socket_mode: "0789"}\n',
    "a JSON pointer without its slash": BUS + "routing: {json_pointer: meta}\n",
    "a rule without its bus": BUS + "routing: {keys: [{match: x}]}\n",
    "a rule that is a text": BUS + "routing: {keys: [x]}\n",
    "a map for a list of rules": BUS + "routing: {keys: {match: x, bus: a}}\n",
    "a text for a list of types": BUS + "routing: {types: {a: x}}\n",
    "an empty text": BUS + "routing: {types: {a: ['']}}\n",
    "a value that is missing": BUS + "workers:\n",
    "a shorthand that is no choice": BUS + "missing_group: maybe\n",
    "a shorthand's section with an unknown key": BUS + "missing_group: {acton: create}\n",
}
RIGHT = {
    "quotes change nothing": 'workers: "2"\nlisten: {port: "6379"}\n' + BUS,
    "names that look like other values": BUS + "routing: {types: {a: [1, yes, 1e3, 0x1, true]}}\n",
    "a section that is commented out": BUS + "routing:\nlimits:\n",
    "a shorthand": BUS + "missing_group: create\n",
    "durations and bytes": BUS + "backend: {connect_timeout: 250ms}\nlimits: {idle_timeout: 0, max_request: 67108864}\nslowlog: {threshold: 0}\n",
    "choices": BUS + "absorb: off\nslowlog: {arguments: true}\nlog: {level: off}\nmissing_group: {action: create, start: 0}\n",
    "permissions": BUS + "listen: {unix_socket: /run/x.sock, unix_socket_mode: 0700}\n",
    "forms of endpoints": 'buses:\n  a: {id_slot: 1, endpoint: "[::1]:6380"}\n  b: {id_slot: 2, endpoint: /run/b.sock, state: draining}\n  c: {id_slot: 3, '
                          'endpoint: "unix:/run/c.sock", state: draining}\n',
}


class SchemaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(printed("--config-schema"))
        jsonschema.Draft7Validator.check_schema(cls.schema)
        cls.validator = jsonschema.Draft7Validator(cls.schema)

    def complaints(self, text):
        return [f"{list(error.path)}: {error.message}" for error in self.validator.iter_errors(yaml.load(text, PlainLoader))]

    def accepted_by_the_daemon(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            return subprocess.run([DUALBUSD, "--check-config", file.name], capture_output=True, timeout=60, check=False).returncode == 0

    def test_the_files_of_the_project_are_right(self):
        files = glob.glob(f"{ROOT}/config/*.yaml") + [f"{ROOT}/deploy/dualbus-compose.yaml"]
        self.assertGreaterEqual(len(files), 4)
        example = re.search(r"(?s)## Example\n.*?```yaml\n(.*?)```", printed("--config-reference"))[1]
        for text in [example] + [pathlib.Path(file).read_text(encoding="utf-8") for file in files]:
            self.assertEqual(self.complaints(text), [], text)

    def test_what_is_right_to_the_daemon_is_right_to_the_schema(self):
        for name, text in RIGHT.items():
            with self.subTest(name):
                self.assertTrue(self.accepted_by_the_daemon(text))
                self.assertEqual(self.complaints(text), [])

    def test_mistakes_are_noticed(self):
        for name, text in WRONG.items():
            with self.subTest(name):
                self.assertFalse(self.accepted_by_the_daemon(text))
                self.assertNotEqual(self.complaints(text), [])

    def test_its_keys_are_those_of_the_reference(self):
        def keys_of(node, path):
            if "anyOf" in node:
                node = next(each for each in node["anyOf"] if "properties" in each)
            if "properties" in node:
                self.assertIs(node["additionalProperties"], False, path)
                return {key for name, child in node["properties"].items() for key in keys_of(child, f"{path}.{name}" if path else name)}
            if isinstance(node.get("additionalProperties"), dict):
                return keys_of(node["additionalProperties"], path + ".*")
            if "properties" in node.get("items", {}):
                return keys_of(node["items"], path + "[]")
            self.assertTrue(node["description"], path)
            return {path}

        self.assertEqual(keys_of(self.schema, ""), documented_keys())


if __name__ == "__main__":
    unittest.main()
