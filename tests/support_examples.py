"""How many examples a property is tried on: some of them each day, all of them in `make test-long`."""

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings

ALL = os.environ.get("TEST_EXAMPLES") == "all"
EVERY_DAY = 4
"""One of so many is tried in `make test`, but LEAST of them."""
LEAST = 5


def examples(
    count: int, phases: Sequence[Phase] = tuple(Phase), suppress_health_check: Sequence[HealthCheck] = ()
) -> settings:
    """Return settings for so many examples, or for their everyday share. An example may take as long as it likes."""
    tried = count if ALL else max(min(count, LEAST), count // EVERY_DAY)
    return settings(max_examples=tried, deadline=None, phases=phases, suppress_health_check=suppress_health_check)
