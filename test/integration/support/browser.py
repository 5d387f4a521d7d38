"""Chromium, driven by the WebDriver protocol over HTTP: https://www.w3.org/TR/webdriver2/."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request

from support.servers import free_port, wait_for


class Browser:
    """One window. `log()` has what the browser complained of: errors of scripts, and what the page's policy forbade."""

    def __init__(self):
        self._home = tempfile.mkdtemp(prefix="dualbus-browser-")
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        # Chromium writes into its user's home whatever it is told.
        environment = {**os.environ, "HOME": self._home}
        with open(os.path.join(self._home, "driver.log"), "w", encoding="utf-8") as log:
            self._driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=log, stderr=log, env=environment)
        try:
            wait_for(self._ready, "the browser's driver")
            options = {"args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                                f"--user-data-dir={self._home}/profile"]}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self._driver.kill()
            raise

    def _ready(self):
        try:
            return self._ask("GET", "/status")["ready"]
        except OSError:
            return False

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["value"]

    def _command(self, path, **body):
        return self._ask("POST", f"/session/{self._session}/{path}", body)

    def open(self, url):
        self._command("url", url=url)

    def run(self, script, *args):
        """The value that the script returns."""
        return self._command("execute/sync", script=script, args=list(args))

    def emulate(self, width, height, scheme="light"):
        """A screen of that size in CSS pixels, and whether people like it dark."""
        self._command("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride",
                      params={"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self._command("goog/cdp/execute", cmd="Emulation.setEmulatedMedia",
                      params={"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def log(self):
        return [entry["message"] for entry in self._command("se/log", type="browser")]

    def keep_picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._ask("GET", f"/session/{self._session}/screenshot")))

    def close(self):
        try:
            self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._driver.terminate()
            self._driver.wait()
            shutil.rmtree(self._home, ignore_errors=True)
