"""A client's own terminal for a test: posts ticks to the api as an expert advisor would, and remembers what it sent."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from tests.pipeline.harness import Pipeline

OFFSET_S = 10_800
"""The broker's server is three hours ahead of UTC."""
SPREAD = 0.2


@dataclass
class Terminal:
    """One terminal that watches one symbol. Its prices rise by a cent a tick, far from the simulator's."""

    pipeline: Pipeline
    symbol: str
    price: float
    sent: list[tuple[int, float]] = field(default_factory=list)
    """Market time in UTC and bid of each tick that was accepted, or may have been."""
    _waiting: bytes = b""

    def tick(self) -> bool:
        """Post one tick of the stream's newest time, or again the one that got no answer. True if it was accepted."""
        if not self._waiting:
            clock = self.pipeline.clock()
            assert clock is not None
            bid = round(self.price + 0.01 * len(self.sent), 2)
            at_ms = clock.now_ms + len(self.sent) % 900  # of several in one cycle each has its own time
            self.sent.append((at_ms, bid))
            self._waiting = self._body(at_ms, bid)
        accepted = self._post(self._waiting)
        if accepted:
            self._waiting = b""
        return accepted

    def _body(self, at_ms: int, bid: float) -> bytes:
        broker_ms = at_ms + OFFSET_S * 1000
        tick = {"symbol": self.symbol, "time_msc": broker_ms, "bid": bid, "ask": round(bid + SPREAD, 2), "last": 0}
        batch = {"account": 5012345, "gmt_offset_s": OFFSET_S, "batch": len(self.sent), "ticks": [tick]}
        return json.dumps(batch | {"symbols": [self.symbol]}).encode()

    def _post(self, body: bytes) -> bool:
        url = f"http://127.0.0.1:{self.pipeline.api_port}/api/ticks"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=5) as reply:
                return bool(json.load(reply)["status"] == "ok")
        except urllib.error.HTTPError as e:
            raise AssertionError(e.read()) from e
        except OSError:  # the api is down: the client sends the same batch again
            return False
