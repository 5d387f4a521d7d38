"""Gives tasks to the worker of celery_jobs.py and prints what became of them as JSON."""
import json
import time

import celery_jobs as jobs
from celery import chain, chord, group

PATIENCE = 20


def error_of(answer):
    try:
        return answer.get(timeout=PATIENCE)
    except ValueError as error:
        return str(error)


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def asked(inquiry):
    """The worker's answer about itself; it is the only one to answer."""
    return (getattr(jobs.app.control.inspect(limit=1, timeout=PATIENCE), inquiry)() or {}).get("tester@here")


seen = {"many": [answer.get(timeout=PATIENCE) for answer in [jobs.add.delay(number, 1) for number in range(30)]],
        "later": jobs.add.apply_async((1, 2), countdown=0.2).get(timeout=PATIENCE),
        "failed": error_of(jobs.fail.delay("wanted")),
        "retried": jobs.fail_once.delay().get(timeout=PATIENCE),
        "chain": chain(jobs.add.s(1, 2), jobs.add.s(3))().get(timeout=PATIENCE),
        "group": group(jobs.add.s(number, number) for number in range(5))().get(timeout=PATIENCE),
        "chord": chord((jobs.add.s(number, 1) for number in range(5)), jobs.total.s())().get(timeout=PATIENCE),
        "ping": jobs.app.control.ping(timeout=PATIENCE, limit=1),
        "registered": asked("registered")}
waiting = jobs.add.apply_async((1, 2), countdown=3600)
seen["scheduled"] = bool(until(lambda: asked("scheduled")))
waiting.revoke()
seen["revoked"] = until(lambda: asked("revoked")) == [waiting.id]
unfetched = jobs.add.delay(1, 2)
until(unfetched.ready)
seen["forgotten"] = [unfetched.status, unfetched.forget(), unfetched.status]
print(json.dumps(seen))
