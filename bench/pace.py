"""How fast the machine is at a moment: a shared one runs several times slower for a tenth of a second now and then.

Whatever is measured then says more about the others on its host than about us, so it can be told apart: by a fixed
piece of work right beside each measurement. Nothing is left out of a figure that doesn't say so.
"""

import statistics
import time
from collections.abc import Sequence

ROUNDS = 2_000
USUAL = 1.5
"""Up to so many times its median the work counts as done at the usual pace."""


def work_ms() -> float:
    """Return how long the fixed piece of work takes now, some 0.1 ms."""
    began_s, total = time.perf_counter(), 0
    for number in range(ROUNDS):
        total += number
    return (time.perf_counter() - began_s) * 1000


def at_usual_pace(values: Sequence[float], paces: Sequence[float]) -> list[float]:
    """Return the values beside which the work took its usual time."""
    limit = USUAL * statistics.median(paces)
    return [value for value, pace in zip(values, paces, strict=True) if pace <= limit]
