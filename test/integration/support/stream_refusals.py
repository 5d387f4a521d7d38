"""The errors with which the reference model ends a command."""
from support.stream_replies import NOT_A_NUMBER, Error

NO_KEY_FOR_GROUP = Error(b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the "
                         b"MKSTREAM option to create an empty stream automatically.")
NO_KEY = Error(b"ERR no such key")


class Refused(Exception):
    def __init__(self, reply):
        super().__init__(reply)
        self.reply = reply


def integer(text, otherwise=NOT_A_NUMBER):
    """A signed number of 64 bits as Redis reads it."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or (digits[:1] == b"0" and text != b"0") or not -2**63 <= int(text) < 2**63:
        raise Refused(otherwise)
    return int(text)


def no_group(key, group):
    """As XPENDING, XCLAIM and XAUTOCLAIM say it."""
    return Error(b"NOGROUP No such key '%s' or consumer group '%s'" % (key, group))


def no_group_for_key(key, group):
    """As XGROUP and XINFO say it."""
    return Error(b"NOGROUP No such consumer group '%s' for key name '%s'" % (group, key))


def no_group_to_read(key, group):
    return Error(b"NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option" % (key, group))
