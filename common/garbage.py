"""When the collector of reference cycles runs in a stage: while there is nothing to do, and over what is new alone.

A full collection looks at every object: with thousands of lanes that stops the stage for a tenth of a second, whenever
some counter happens to be full. So what has lasted is taken out of its sight, and it runs in a pause.
"""

import gc
import time

YOUNG = (700, 10, 1_000_000)
"""Python's own thresholds for young objects. The third: of the old ones no collection by itself."""
EVERY_S = 60.0
AT_LAST_S = 600.0
"""Without a pause in all that time it runs all the same."""


class Garbage:
    """Looks after one process."""

    def __init__(self) -> None:
        gc.set_threshold(*YOUNG)
        self.settle()

    def settle(self) -> None:
        """Collect, and take what is left out of the collector's sight."""
        gc.collect()
        gc.freeze()
        self._last_s = time.monotonic()

    def tend(self, idle: bool) -> None:
        """Do the same if it is time for it. idle: nothing waits now."""
        if time.monotonic() - self._last_s >= (EVERY_S if idle else AT_LAST_S):
            self.settle()
