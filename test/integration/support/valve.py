"""A way to a Redis that can be shut, for the connections that there are, and that can change what Redis says."""
import contextlib
import socket
import threading

from support.servers import free_port


class Passage:
    """One connection through the valve."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.open = threading.Event()
        self.open.set()
        self.asked = b""  # the beginning of it
        self.ended = None  # by the daemon: "in order" or "reset"
        self.finished = False  # Redis has had everything and closed

    def close(self):
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Valve:
    """While it is shut for a connection nothing is read from it, and its kernel takes but a few kilobytes: the rest stays with the
    sender. `edit(passage, data)` returns what is passed on of what Redis has sent."""

    def __init__(self, address):
        self.address = address
        self.port = free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.edit = lambda passage, data: data
        self.passages = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self):
        """For the connections that there are; those to come pass. Returns them."""
        shut = [passage for passage in self.passages if passage.ended is None]
        for passage in shut:
            passage.open.clear()
        return shut

    def stop(self):
        self._listener.close()
        for passage in self.passages:
            passage.open.set()
            passage.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self.address)
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                passage = Passage(near, far)
                self.passages.append(passage)
                for way in (self._ask, self._answer):
                    threading.Thread(target=way, args=(passage,), daemon=True).start()

    def _ask(self, passage):
        ended = "in order"
        try:
            while True:
                passage.open.wait()
                passage.near.settimeout(0.02)
                try:
                    data = passage.near.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    break
                passage.asked = (passage.asked + data)[:4096]
                passage.far.sendall(data)
        except ConnectionResetError:
            ended = "reset"
        except OSError:
            pass
        passage.ended = ended
        # Requests that were passed on shall be carried out before the connection ends there.
        with contextlib.suppress(OSError):
            passage.far.shutdown(socket.SHUT_WR)

    def _answer(self, passage):
        with contextlib.suppress(OSError):
            while data := passage.far.recv(1 << 16):
                if data := self.edit(passage, data):
                    passage.near.sendall(data)
        passage.finished = True
        passage.close()
