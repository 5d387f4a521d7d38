"""The page at /, in a real Chromium.

DUALBUS_PICTURES names a folder for pictures of the page, for people to look at.
"""
import contextlib
import os
import threading
import unittest

import redis

from support.browser import Browser
from support.harness import ENGINE_LOGIC, MARKETDATA, StackTest, wait_for


class PageTest(StackTest):
    config = {"buses": {MARKETDATA: {"latency_target": "1ms"}}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(super().tearDownClass)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def tearDownClass(cls):
        pass  # the clean-ups above, so that the browser ends first

    def setUp(self):
        super().setUp()
        self.stop = threading.Event()
        self.publisher = threading.Thread(target=self.publish)
        self.publisher.start()
        self.addCleanup(self.publisher.join)
        self.addCleanup(self.stop.set)
        self.browser.emulate(1400, 1000)
        self.browser.open(f"http://127.0.0.1:{self.daemon.admin_port}/")
        self.addCleanup(self.complained_of_nothing)

    def publish(self):
        client = self.daemon.client(client_name="publisher")
        try:
            while not self.stop.wait(0.01):
                for key, message_type in (("prices", "market_data"), ("orders", "order_request")):
                    with contextlib.suppress(redis.RedisError):  # its bus is down
                        client.xadd(key, {"message_type": message_type}, maxlen=100)
        finally:
            client.connection_pool.disconnect()

    def complained_of_nothing(self):
        self.browser.open("about:blank")
        self.assertEqual(self.browser.log(), [])

    def text(self, selector):
        return self.browser.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent).join('\\n')", selector)

    def picture(self, name):
        folder = os.environ.get("DUALBUS_PICTURES")
        if folder:
            os.makedirs(folder, exist_ok=True)
            self.browser.keep_picture(os.path.join(folder, name + ".png"))

    def points(self):
        return int(self.browser.run("return document.body.dataset.points") or 0)

    def drawn(self, figure):
        """The chart as drawn, of marketdata."""
        return self.browser.run("""const box = document.querySelector(`.chart[data-bus=marketdata][data-figure=${arguments[0]}]`);
                                   return [...box.querySelectorAll('canvas')].map((c) => c.toDataURL()).join()""", figure)

    def test_charts_move_while_messages_come(self):
        wait_for(lambda: self.points() >= 3, "the first points")
        wait_for(lambda: "market_data" in self.text(".chart[data-bus=marketdata] .legend"), "the legend names the type")
        legends = self.text(".chart[data-bus=marketdata] .legend")
        self.assertRegex(legends, r"p99 [0-9.]+ ms")
        self.assertIn("target 1 ms", legends)
        before = {figure: self.drawn(figure) for figure in ("types", "requests", "p99")}
        points = self.points()
        wait_for(lambda: self.points() >= points + 2, "more points")
        for figure, picture in before.items():
            self.assertNotEqual(self.drawn(figure), picture, figure)
        self.picture("desktop")

    def test_tables_are_kept_new(self):
        def published():
            return self.browser.run("""const row = [...document.querySelectorAll('#tables tr')].find((r) => r.cells[0].textContent === 'publisher');
                                       return row ? Number(row.cells[4].textContent) : 0""")

        wait_for(lambda: published() > 0, "the publisher")
        before = published()
        wait_for(lambda: published() > before, "more messages")

    def test_the_box_explains(self):
        self.browser.run("""document.querySelector('[name=command]').value = 'XADD prices * message_type market_data';
                            document.querySelector('#explain button').click()""")
        wait_for(lambda: f"sent: to bus '{MARKETDATA}'" in self.text("#answer"), "the explanation")

    def test_what_is_wrong_stands_on_top(self):
        self.assertIn("Nothing is wrong", self.text("#wrong"))
        self.stack.marketdata.kill()
        self.addCleanup(self.await_connections)
        self.addCleanup(self.stack.marketdata.start)
        wait_for(lambda: f"bus {MARKETDATA} has no connection since" in self.text("#wrong"), "it says that the bus is down")
        self.picture("bus-down")

    def test_nothing_is_wider_than_the_screen(self):
        for width, height, scheme in ((360, 780, "light"), (360, 780, "dark"), (800, 1000, "dark"), (3840, 2160, "dark")):
            self.browser.emulate(width, height, scheme)
            wait_for(lambda: self.points() >= 2, "charts")
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), width)
            outside = self.browser.run("""return [...document.querySelectorAll('.chart, .wrong, .fine, form, input, h1, h2')]
                                          .filter((e) => e.getBoundingClientRect().right > innerWidth).length""")
            self.assertEqual(outside, 0, width)
            background = self.browser.run("return getComputedStyle(document.body).backgroundColor")
            light = sum(int(part) for part in background[4:-1].split(",")) > 380
            self.assertEqual(light, scheme == "light")
            self.picture(f"{width}-{scheme}")

    def test_it_says_the_same_without_its_script(self):
        wait_for(lambda: "order_request" in self.daemon.fetch("/")[1], "the message type")
        page = self.daemon.fetch("/")[1]
        for text in (MARKETDATA, ENGINE_LOGIC, "market_data", "publisher", "Nothing is wrong", "Rules", "any other message"):
            self.assertIn(text, page)
        self.assertIn("<noscript><meta http-equiv=refresh", page)


if __name__ == "__main__":
    unittest.main()
