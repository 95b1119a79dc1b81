"""The crumb: a token that belongs to a cookie."""

import re

from collector.vendors.base import Reply, Request

# Eleven characters in every recording. When blocked, the body is words ("Too Many Requests") or HTML instead.
_CRUMB = re.compile(r"[!-~]{6,20}")
_NEVER_IN_A_CRUMB = re.compile(r"[<>{}\[\]\"':]")
_SINGLE_WORDS = frozenset({"unauthorized", "forbidden", "undefined", "blocked", "error", "invalid", "denied"})


def requests() -> tuple[Request, ...]:
    """Return the page that sets the cookie (it answers 404), then the call for the crumb."""
    return Request(path="/", asks=(), host="cookie"), Request(path="/v1/test/getcrumb", asks=())


def read(reply: Reply) -> str | None:
    """Return the crumb; None if the body is anything else."""
    text = reply.body.decode("ascii", "replace").strip()
    spoken = text.lower().strip(".!") in _SINGLE_WORDS
    if reply.status != 200 or spoken or not _CRUMB.fullmatch(text) or _NEVER_IN_A_CRUMB.search(text):
        return None
    return text
