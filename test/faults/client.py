"""A client of one daemon in a thread: what it asks, what became of it, and whether the reply may be what it is."""
import threading
import time
import traceback

from support import resp

# The fate of a request, as its reply tells it. Nothing else is possible: a reply that says something else is a finding.
DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"
OUTCOME_UNKNOWN = ("BUSLOST ", "BUSTIMEOUT ")
# An answer that takes this much longer than promised counts as never coming.
NEVER = 25


class Stopped(Exception):
    """The round is over."""


class Answer:
    """`fate` is DONE if the reply is no error; UNKNOWN also if the connection was lost, and if a bus may have lied."""

    def __init__(self, request, sent):
        self.request, self.sent, self.received = request, sent, None
        self.reply, self.fate, self.doubtful, self.lost = None, UNKNOWN, False, True

    def error(self):
        return self.reply if isinstance(self.reply, resp.ReplyError) else None


class Client:
    """Runs step() again and again. ask() never raises but Stopped: what is not answered is UNKNOWN."""

    expected = ()  # codes of errors that need no fault
    reconnects = True

    def __init__(self, world, name, daemon, chance):
        self.world, self.name, self.daemon, self.random = world, name, daemon, chance
        self.protocol = chance.choice((2, 3))
        self.connection = None
        self.leaves_by_itself = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)

    def __str__(self):
        return f"{self.name} at dualbusd-{self.daemon.number}"

    def start(self):
        self._thread.start()
        return self

    def step(self):
        raise NotImplementedError

    def stop(self):
        self._stopping.set()

    def join(self, timeout=60):
        if self._thread.ident:
            self._thread.join(timeout)
        if self._thread.is_alive():
            self.world.findings.add("stuck", f"{self} does not end")

    def is_alive(self):
        return self._thread.is_alive()

    def stopping(self):
        return self._stopping.is_set()

    def pause(self, seconds):
        self._stopping.wait(seconds)

    def finding(self, kind, text, answer=None):
        self.world.findings.add(kind, f"{self}: {text}", self.daemon.number, answer and answer.sent, answer and answer.received)

    # --- asking

    def ask(self, *requests, block=0.0):
        """Sends all at once. `block` is how long the daemon may take by request, on top of what it promises."""
        self.connect()
        answers = [Answer(request, time.monotonic()) for request in requests]
        try:
            self.connection.send_raw(b"".join(resp.encode(*request) for request in requests))
        except OSError as error:
            self.lose(error, answers)
            return answers
        return self.collect(answers, block)

    def collect(self, answers, block=0.0):
        for answer in answers:
            try:
                answer.reply = self._read(answer, block)
            except Stopped:
                raise
            except (OSError, ValueError) as error:
                self.lose(error, answers[answers.index(answer):])
                break
            answer.received, answer.lost = time.monotonic(), False
            self._judge(answer, block)
        return answers

    def _read(self, answer, block):
        """The next reply that is no push message. A daemon that was stopped gets as much more time."""
        while True:
            allowed = block + self.daemon.longest_request + NEVER
            self.connection.socket.settimeout(allowed)
            try:
                reply = self.connection.read()
            except TimeoutError:
                answer.received = time.monotonic()
                if answer.received - answer.sent - self.world.ledger.frozen(self.daemon.number, answer.sent, answer.received) < allowed:
                    continue
                self.finding("no answer", f"{short(answer.request)} was not answered within {allowed:.0f} s", answer)
                raise
            if not isinstance(reply, resp.Push):
                return reply
            self.pushed(reply)

    def pushed(self, message):
        """A message that nobody asked for, on a RESP3 connection."""

    def _judge(self, answer, block):
        ledger = self.world.ledger
        answer.doubtful = ledger.doubtful(self.daemon.number, answer.sent, answer.received)
        error = answer.error()
        if answer.doubtful:
            answer.fate = UNKNOWN
        elif error is None:
            answer.fate = DONE
        else:
            answer.fate = UNKNOWN if error.startswith(OUTCOME_UNKNOWN) else REFUSED
            self.world.count("error " + error.split(" ", 1)[0])
            if not error.startswith(self.expected or ("\0", )) and not self.surely(lambda: self.explained(answer, error)):
                self.finding("error", f"{short(answer.request)} was answered {error!r}, which no fault explains", answer)
        if not self.surely(lambda: self._late(answer, block) <= ledger.slack):
            took = answer.received - answer.sent
            self.finding("late", f"{short(answer.request)} was answered after {took:.2f} s: {str(answer.reply)[:80]!r}", answer)

    def _late(self, answer, block):
        """The seconds by which an answer was late, without those for which the machine or a stopped daemon is to blame."""
        ledger, late = self.world.ledger, answer.received - answer.sent - block - self.daemon.longest_request
        if late <= 0:
            return 0
        return late - ledger.frozen(self.daemon.number, answer.sent, answer.received) - 2 * ledger.stalls.within(answer.sent, answer.received)

    @staticmethod
    def surely(condition):
        """True if the condition is true now, or a second later: by then everybody who had no time has said so."""
        if condition():
            return True
        time.sleep(1)
        return condition()

    def explained(self, answer, error):
        return self.world.ledger.explains(error, self.daemon.number, answer.sent, answer.received)

    # --- the connection

    def connect(self):
        first = time.monotonic()
        while self.connection is None:
            if self.stopping():
                raise Stopped
            now = time.monotonic()
            try:
                self.connection = resp.Connection(self.daemon.address, timeout=NEVER)
                if self.protocol == 3:
                    self.connection.call("HELLO", 3)
                self.connected()
            except OSError as error:
                self.close()
                if now - first > NEVER and not self.world.ledger.found(("slay", "leave", "freeze"), self.daemon.number, None, first, now):
                    self.finding("no answer", f"cannot connect: {error!r}")
                    first = now
                self.pause(0.03)

    def connected(self):
        """A new connection, before anything is asked."""

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def lose(self, error, answers):
        """The daemon has closed the connection, or sent something that is not RESP, and owes these answers."""
        self.close()
        for answer in answers:
            answer.received = time.monotonic()
        answer = answers[0]
        if isinstance(error, ValueError):
            self.finding("not RESP", f"{short(answer.request)}: {error}", answer)
        elif not self.leaves_by_itself and not self.world.ledger.found(("slay", "leave"), self.daemon.number, None, answer.sent, answer.received):
            self.finding("closed", f"the daemon closed the connection: {error!r}, {short(answer.request)}", answer)

    def _run(self):
        try:
            while not self.stopping():
                self.step()
            self.last()
        except Stopped:
            pass
        except Exception:  # pylint: disable=broad-except
            self.finding("test", f"the campaign itself failed\n{traceback.format_exc()}")
        finally:
            self.close()

    def last(self):
        """Called after the last step."""


def short(request):
    """A request for people."""
    return " ".join((word.decode(errors="replace") if isinstance(word, bytes) else str(word))[:40] for word in request[:14])
