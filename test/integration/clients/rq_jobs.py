"""The jobs of rq_test.py."""
import os


def add(first, second):
    return first + second


def fail(text):
    raise ValueError(text)


def fail_once(path):
    """Fails unless `path` exists, which it then does."""
    if os.path.exists(path):
        return "at last"
    with open(path, "w", encoding="utf-8"):
        raise OSError("the first time")
