"""Every program of docs/engines.md, as it stands there: what it prints, and what lies on the two buses afterwards."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

from support.client_programs import CLIENTS, PYTHON, ClientTest
from support.harness import ENGINE_LOGIC, MARKETDATA, ROOT, stored

DOCUMENT = os.path.join(ROOT, "docs", "engines.md")
# Languages of fences that are no programs.
PLAIN = {"sh", "text"}
# The folder of a Go module that requires go-redis. Debian 12 has no package of it, so the program needs one that somebody provides.
GO_MODULE = os.environ.get("DUALBUS_GO_REDIS", "")


def fences():
    """(heading, language, text) of every fence."""
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    heading = ""
    for found in re.finditer(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if found[1]:
            heading = found[1]
        else:
            yield heading, found[2], found[3]


PROGRAMS = {heading: (language, text) for heading, language, text in fences() if language not in PLAIN}


class EnginesDocTest(ClientTest):
    def folder(self):
        """A new one, in which programs for Node.js find their libraries."""
        folder = tempfile.mkdtemp(dir=self.stack.directory)
        os.symlink(os.path.join(CLIENTS, "node_modules"), os.path.join(folder, "node_modules"))
        return folder

    def written(self, heading, language, name):
        """The path of a file with the program below a heading."""
        self.assertEqual(PROGRAMS[heading][0], language)
        path = os.path.join(self.folder(), name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(PROGRAMS[heading][1])
        return path

    def check_program(self, *command):
        """Runs it, and looks at everything that it has done."""
        environment = {**os.environ, "REDIS_URL": f"redis://127.0.0.1:{self.daemon.port}/0"}
        before = self.published()
        self.check_output(self.run_program(command, env=environment))
        self.assertEqual(self.published() - before, 3, "all messages count for the engine 'risk', as it is named")
        self.assert_nothing_refused("client")  # CLIENT MAINT_NOTIFICATIONS of node-redis, which it does without

    def published(self):
        return self.daemon.metrics().value("dualbus_engine_messages_published_total", engine="risk")

    def check_output(self, output):
        lines = dict.fromkeys(("published", "acknowledged", "transaction"))
        read = []
        for line in output.splitlines():
            word, *rest = line.split()
            if word == "read":
                read.append(tuple(rest))
            else:
                self.assertIn(word, lines, output)
                self.assertIsNone(lines[word], output)
                lines[word] = rest
        self.assertTrue(all(lines.values()), output)
        tick, order = lines["published"]
        self.assertEqual(sorted(read), sorted([(tick, "market_data"), (order, "order_request")]))
        self.assertEqual(lines["acknowledged"], ["2"])
        last, count = lines["transaction"]
        self.assertEqual(count, "1")
        self.check_buses(tick, order, last)

    def check_buses(self, tick, order, last):
        there = {bus: {entry.decode(): fields for entry, fields in self.client(server).xrange("desk")}
                 for bus, server in self.stack.buses.items()}
        self.assertEqual({bus: list(entries) for bus, entries in there.items()},
                         {MARKETDATA: [stored(tick)[1]], ENGINE_LOGIC: [stored(order)[1], stored(last)[1]]})
        self.assertEqual(there[MARKETDATA][stored(tick)[1]], {b"message_type": b"market_data", b"symbol": b"BTC", b"price": b"64000"})
        self.assertEqual(there[ENGINE_LOGIC][stored(last)[1]], {b"message_type": b"order_request", b"symbol": b"BTC", b"side": b"sell"})
        self.assertEqual(self.client(self.stack.engine_logic).get("orders"), b"1")
        for bus, server in self.stack.buses.items():
            self.assertEqual(self.client(server).xpending("desk", "risk")["pending"], 0, bus)

    def test_redis_py(self):
        self.check_program(*PYTHON, self.written("redis-py", "python", "engine.py"))

    def test_redis_py_with_asyncio(self):
        self.check_program(*PYTHON, self.written("redis-py with asyncio", "python", "engine.py"))

    def test_ioredis(self):
        self.check_program("node", self.written("ioredis", "js", "engine.mjs"))

    def test_node_redis(self):
        self.check_program("node", self.written("node-redis", "js", "engine.mjs"))

    def test_ruby(self):
        self.check_program("ruby", self.written("Ruby", "ruby", "engine.rb"))

    def test_php(self):
        self.check_program("php", self.written("PHP", "php", "engine.php"))

    @unittest.skipUnless(GO_MODULE and shutil.which("go"), "DUALBUS_GO_REDIS names no Go module that requires go-redis")
    def test_go(self):
        source = self.written("Go", "go", "main.go")
        folder = os.path.dirname(source)
        for name in ("go.mod", "go.sum"):
            if os.path.exists(os.path.join(GO_MODULE, name)):
                shutil.copy(os.path.join(GO_MODULE, name), folder)
        built = subprocess.run(["go", "build", "-o", "engine", source], cwd=folder, capture_output=True, text=True, timeout=120,
                               check=False)
        self.assertEqual(built.returncode, 0, built.stderr)
        self.check_program(os.path.join(folder, "engine"))

    def test_no_program_is_left_out(self):
        self.assertEqual(sorted(PROGRAMS), ["Go", "PHP", "Ruby", "ioredis", "node-redis", "redis-py", "redis-py with asyncio"])
        self.assertEqual(len(PROGRAMS), sum(language not in PLAIN for _, language, _ in fences()), "one program below a heading")

    def test_files_that_the_commands_name_exist(self):
        commands = "".join(text for _, language, text in fences() if language == "sh")
        names = set(re.findall(r"deploy/[\w.-]+", commands))
        self.assertEqual({name for name in names if os.path.isfile(os.path.join(ROOT, name))}, names)
        with open(os.path.join(ROOT, "deploy", "docker-compose.yml"), encoding="utf-8") as file:
            services = yaml.safe_load(file)["services"]
        started = re.search(r"up --build --detach --wait (.+)", commands)[1].split()
        self.assertEqual(started, [name for name in started if name in services])
        self.assertIn("dualbusd", started)


if __name__ == "__main__":
    unittest.main()
