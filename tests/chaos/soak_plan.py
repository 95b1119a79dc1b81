"""What happens in a soak, and when: drawn by lot from a seed."""

import random
from dataclasses import dataclass

from tests.pipeline.harness import STAGES

FAULTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("500", {"channel": "rest"}),
    ("hang", {"channel": "rest", "count": 3}),
    ("garbage", {"channel": "rest"}),
    ("html", {"channel": "rest"}),
    ("truncate", {"channel": "rest"}),
    ("429", {"channel": "rest"}),
    ("wrong_price", {"value": 1.2}),
    ("silent", {"channel": "stream"}),
    ("close", {"channel": "stream", "value": 1006}),
    ("garbage", {"channel": "stream"}),
    ("outage", {}),
)
VENDORS = ("yahoo", "twelvedata", "polygon")
FAULT_CYCLES = (5, 60)
FAULT_EVERY = 900  # cycles
KILLED_FROM, KILLED_UNTIL = 0.1, 0.45
"""The shares of the run between which stages are killed: the first tenth is what the others are measured against, and
from the sixth on each stage lives to the end, so that what leaks shows."""


@dataclass(frozen=True, order=True)
class Kill:
    """A stage that is killed when a cycle is committed."""

    cycle: int
    stage: str


def faults(first_cycle: int, cycles: int, seed: int) -> list[dict[str, object]]:
    """Return the orders for the simulator: one fault about every quarter of an hour."""
    rng = random.Random(seed)
    orders = []
    for cycle in range(first_cycle + FAULT_EVERY // 2, first_cycle + cycles, FAULT_EVERY):
        kind, options = rng.choice(FAULTS)
        vendor = rng.choice(VENDORS)
        orders.append(
            {"vendor": vendor, "fault": kind, "from_cycle": cycle, "cycles": rng.randint(*FAULT_CYCLES), **options}
        )
    return orders


def kills(first_cycle: int, cycles: int, times: int, seed: int) -> list[Kill]:
    """Return so many kills of each stage, in order."""
    rng = random.Random(seed)
    earliest, latest = (first_cycle + int(cycles * share) for share in (KILLED_FROM, KILLED_UNTIL))
    return sorted(Kill(rng.randrange(earliest, latest), stage) for stage in STAGES for _ in range(times))
