"""/sim: the clock, faults, figures, and the ledger."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from simulator.faults import Faults, order_of
from simulator.ledger import Ledger
from simulator.market import Market
from simulator.pace import Pace
from simulator.streams import Streams
from simulator.wire import Answer, encode

if TYPE_CHECKING:
    from simulator.app import Position

_LEDGER_PAGE = 10_000
_LONGEST_SKIP_S = 30 * 86_400


def _refuse(message: str, status: int = 400) -> Answer:
    return Answer(status, encode({"error": message}))


class Admin:
    """What steers and watches the simulation. No vendor knows of it."""

    def __init__(
        self,
        market: Market,
        position: "Position",
        ledger: Ledger,
        faults: Faults,
        pace: Pace,
        streams: Streams,
        vendors: tuple[str, ...],
    ) -> None:
        self._market = market
        self._position = position
        self._ledger = ledger
        self._faults = faults
        self._pace = pace
        self._streams = streams
        self._vendors = vendors
        self._not_before_cycle = 0
        """Where time went on to while nobody collected."""

    async def answer(self, method: str, path: str, params: Mapping[str, str], body: bytes) -> Answer:
        """Return the reply to one request under /sim."""
        match method, path:
            case "GET", "/clock":
                return await self._clock(params)
            case "POST", "/skip":
                return self._skip(params)
            case "GET", "/stats":
                return Answer(200, encode(self._stats()))
            case "GET", "/ledger":
                return self._entries(params)
            case "GET", "/faults":
                return Answer(200, encode(self._faults.report()))
            case "POST", "/faults":
                return self._add_fault(body)
            case "DELETE", "/faults":
                return Answer(200, encode({"removed": self._faults.remove(params.get("vendor"))}))
        return _refuse(f"expected clock, skip, stats, ledger or faults under /sim, found {method} {path}", 404)

    async def _clock(self, params: Mapping[str, str]) -> Answer:
        """Return the cycle after `after` when it is due, and move there; its frames are sent before."""
        text = params.get("after", "")
        if not text.isdecimal() or len(text) > 15:
            return _refuse(
                f"after: expected the number of the last cycle that was done (0 at the start), found {text!r}"
            )
        cycle = max(int(text) + 1, self._not_before_cycle)
        last = self._market.timeline.last_cycle
        if last is not None and cycle > last:
            self._position.cycle = last
            now_ms = self._market.timeline.at(last).now_ms
            return Answer(200, encode({"done": True, "cycle": last, "now_ms": now_ms, "speed": self._pace.speed}))
        moment = self._market.timeline.at(cycle)
        await self._pace.release(moment.now_ms)
        self._position.cycle = cycle
        await self._streams.push(cycle)
        return Answer(200, encode({"cycle": cycle, "now_ms": moment.now_ms, "speed": self._pace.speed}))

    def _skip(self, params: Mapping[str, str]) -> Answer:
        """Let time go on by `seconds` though nobody collects: the cycles between are left out."""
        text = params.get("seconds", "")
        if not text.isdecimal() or not 0 < int(text) <= _LONGEST_SKIP_S:
            return _refuse(f"seconds: expected a whole number up to {_LONGEST_SKIP_S}, found {text!r}")
        timeline = self._market.timeline
        until_ms = timeline.at(self._position.cycle).now_ms + int(text) * 1000
        self._not_before_cycle = timeline.first_at(until_ms, self._position.cycle)
        self._pace.rebase()
        return Answer(200, encode({"cycle": self._not_before_cycle, "now_ms": until_ms}))

    def _stats(self) -> dict[str, object]:
        moment = self._market.timeline.at(self._position.cycle)
        served = {
            vendor: {symbol: {"highest": one.highest, "distinct": one.distinct} for symbol, one in own.items()}
            for vendor, own in self._ledger.served.items()
        }
        return {
            "cycle": moment.cycle,
            "now_ms": moment.now_ms,
            "last_cycle": self._market.timeline.last_cycle,
            "speed": self._pace.speed,
            "calls": self._ledger.counts,
            "ticks": served,
            "streams": {
                vendor: {"open": self._streams.open_count(vendor), **counts}
                for vendor, counts in self._ledger.streams.items()
            },
        }

    def _entries(self, params: Mapping[str, str]) -> Answer:
        """Return the calls after number `after`, at most a page of them."""
        text = params.get("after", "0")
        if not text.isdecimal():
            return _refuse(f"after: expected the number of a call, found {text!r}")
        entries = [entry for entry in self._ledger.entries(params.get("vendor")) if entry.number > int(text)]
        return Answer(200, encode([entry._asdict() for entry in entries[:_LEDGER_PAGE]]))

    def _add_fault(self, body: bytes) -> Answer:
        try:
            fault = self._faults.add(order_of(body, self._vendors))
        except msgspec.MsgspecError as e:
            return _refuse(str(e))
        return Answer(201, encode({"id": fault.number}))
