"""The application of celery_test.py: its worker and its callers. The environment says where the broker is."""
import os

from celery import Celery

app = Celery("jobs", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, task_track_started=True)


@app.task
def add(first, second):
    return first + second


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=2)
def fail_once(self):
    if self.request.retries == 0:
        raise self.retry(exc=OSError("the first time"), countdown=0.1)
    return self.request.retries


@app.task
def total(numbers):
    return sum(numbers)
