"""What the variable of the push side does: seen by a vendor's WebSocket, and by what the collector publishes."""

import asyncio
from pathlib import Path

from collector.runtime import Collector
from common.messages import RawQuotes
from tests.collector.conftest import server
from tests.collector.kit import FaultServer, PlainVendor, ok
from tests.collector.push.kit import PlainStream, push_server
from tests.settings.collecting import raw, until_cycle, write_table
from tests.settings.proof import Given, proves

__all__ = ["server"]


@proves("PUSH")
async def test_push_opens_the_vendors_sockets_and_publishes_what_comes_or_leaves_them_alone(
    given: Given, server: FaultServer, tmp_path: Path
) -> None:
    table = write_table(tmp_path / "t.toml", "plain", "X")
    server.behave = ok({"error": "outage"})  # whatever comes was pushed
    pushed = {}
    async with push_server() as vendor:
        for push in ("off", "on"):
            settings = given(SYMBOLS="X", SYMBOLS_FILE=table, PUSH=push, COLLECTION_INTERVAL=0.05, LIMITS="none")
            stream = PlainStream("plain", stream_hosts={"": vendor.url})
            polled = PlainVendor("plain", hosts={"": server.url})
            collector = Collector(settings, {"plain": polled}, streams={"plain": stream})
            task = asyncio.create_task(collector.run())
            await until_cycle(collector, 3)
            if push == "on":
                async with asyncio.timeout(10):
                    while not any(line.is_up for line in collector._push.lines):  # noqa: ASYNC110  # a plain attribute
                        await asyncio.sleep(0.005)
            await vendor.push(1_700_000_000_000, X=1.5)
            await until_cycle(collector, collector._publisher.cycle + 2)
            collector.stop()
            await asyncio.wait_for(task, 6)
            quotes = [m for m in raw(settings) if isinstance(m, RawQuotes)]
            pushed[push] = [(m.source, q.symbol, q.last) for m in quotes for q in m.quotes]
        assert len(vendor.paths) == 1
    assert pushed == {"off": [], "on": [("plain", "X", 1.5)]}
