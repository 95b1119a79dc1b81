"""Whether keys that are written inside a transaction can be: a command on a key of another type fails alone there."""

from collections.abc import Mapping

from common.errors import Fatal
from common.redis_link import Link


def check_types(link: Link, expected: Mapping[str, bytes]) -> None:
    """Fatal if one of these keys is of another type than expected: EXEC would do the rest. Absent is right."""
    found = link.exchange([("TYPE", key) for key in expected])
    for (key, kind), reply in zip(expected.items(), found, strict=True):
        if reply not in (kind, b"none"):
            raise Fatal(
                f"{link.where}: key {key}: expected a {kind.decode()}, found {reply!r}: rename it and start again"
            )
