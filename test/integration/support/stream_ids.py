"""Entry IDs of streams as pairs of numbers: how Redis reads them, and how the IDs of a bus and those of clients belong together.

An ID is (milliseconds, sequence). A client's ID has the slot of its bus in the sequence, see SLOT_STEP.
"""
from support.harness import SLOT_STEP

MAX = 2**64 - 1
ZERO = (0, 0)
LAST = (MAX, MAX)


class BadId(ValueError):
    """The text is no ID."""


class BadInterval(ValueError):
    """An exclusive bound behind which there is nothing. Its text says which one."""


def show(entry):
    return b"%d-%d" % entry


def number(text):
    """A decimal number of 64 bits as Redis reads it: no sign, no blanks, no leading zeros."""
    if not text.isdigit() or (len(text) > 1 and text[:1] == b"0") or int(text) > MAX:
        raise BadId(text)
    return int(text)


def parse(text, missing=0, strict=True):
    """`strict` refuses "-" and "+"."""
    if text in (b"-", b"+") and not strict:
        return ZERO if text == b"-" else LAST
    milliseconds, dash, sequence = text.partition(b"-")
    return number(milliseconds), number(sequence) if dash else missing


def following(entry):
    if entry == LAST:
        return None
    return (entry[0], entry[1] + 1) if entry[1] < MAX else (entry[0] + 1, 0)


def preceding(entry):
    if entry == ZERO:
        return None
    return (entry[0], entry[1] - 1) if entry[1] > 0 else (entry[0] - 1, MAX)


def first_of(text):
    """The first ID of an interval that starts with this bound."""
    if len(text) > 1 and text[:1] == b"(":
        entry = following(parse(text[1:]))
        if entry is None:
            raise BadInterval("start")
        return entry
    return parse(text, 0, strict=False)


def last_of(text):
    """The last ID of an interval that ends with this bound."""
    if len(text) > 1 and text[:1] == b"(":
        entry = preceding(parse(text[1:], MAX))
        if entry is None:
            raise BadInterval("end")
        return entry
    return parse(text, MAX, strict=False)


# --- client IDs and bus IDs --------------------------------------------------------------------------------------------


def slot_of(shown):
    return shown[1] // SLOT_STEP


def raw_of(shown):
    return shown[0], shown[1] % SLOT_STEP


def shown_of(raw, slot):
    """An entry's ID as clients see it."""
    return raw[0], raw[1] + slot * SLOT_STEP


def position_of(raw, slot):
    """A position's ID as clients see it; the one before everything is the same everywhere."""
    return ZERO if raw == ZERO else shown_of((raw[0], min(raw[1], SLOT_STEP - 1)), slot)


def after(shown, slot):
    """The bus ID behind which are exactly the entries of this slot behind `shown`."""
    milliseconds, sequence = shown
    if slot_of(shown) == slot:
        return milliseconds, sequence % SLOT_STEP
    if slot_of(shown) > slot:
        return milliseconds, SLOT_STEP - 1
    return (milliseconds - 1, SLOT_STEP - 1) if milliseconds else ZERO


def from_on(shown, slot):
    """The bus ID from which on are exactly the entries of this slot from `shown` on."""
    milliseconds, sequence = shown
    if slot_of(shown) == slot:
        return milliseconds, sequence % SLOT_STEP
    if slot_of(shown) < slot:
        return milliseconds, 0
    return (milliseconds + 1, 0) if milliseconds < MAX else LAST
