"""A replay of quote files in two parts: until the indicators are warm, and from there, as often as wanted."""

import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import redis

from common import keys
from common.features import FeatureSet, decode_features
from tests.chaos.quotes_data import FIRST_MS, STEP_MS, symbol_table
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import STAGES
from tests.support import wait_until

TIMEFRAMES = ("1m", "5m")
WHOLE_FROM = 40
"""The cycle by which the first bar of five minutes has closed, and is found to be built in part."""


@dataclass(frozen=True)
class Replay:
    """Quote files of some symbols, and a folder in which everything happens."""

    folder: Path
    data: Path
    digits: Mapping[str, int]
    """Symbol -> digits of its prices."""

    def pipeline(self, name: str) -> ForkedPipeline:
        """Return the installation in one folder, not started."""
        table = self.folder / "symbols.toml"
        table.write_text(symbol_table(self.digits))
        return ForkedPipeline(
            self.folder / name, self.digits, SYMBOLS_FILE=str(table), TIMEFRAMES=",".join(TIMEFRAMES),
            MAX_BARS_CACHE="1000", BATCH_WRITE_INTERVAL="1",
        )  # fmt: skip

    def start(self, pipeline: ForkedPipeline, speed: str) -> int:
        """Start the simulator and all stages; return the number of the last cycle."""
        start = datetime.fromtimestamp(FIRST_MS / 1000, UTC).isoformat()
        pipeline.start_simulator(
            "--data", str(self.data), "--speed", speed, "--interval", str(STEP_MS / 1000), "--start", start,
            "--symbols", ",".join(self.digits), "--symbols-file", str(self.folder / "symbols.toml"),
        )  # fmt: skip
        pipeline.start()
        last = pipeline.simulator("/sim/stats")["last_cycle"]
        assert isinstance(last, int)
        return last

    def warm_up(self, deadline_s: float) -> None:
        """Make the installation `warm`: stopped after its first cycles, with the vendors' history of every symbol.

        The bars in which it began are built in part, and repaired: what a signal rests on depends on when that comes.
        So it has come, in minutes and in five minutes, before anything is compared.
        """
        with self.pipeline("warm") as pipeline:
            self.start(pipeline, "40")
            wait_until(lambda: self._whole(pipeline), deadline_s, "warm indicators over whole bars")
            for stage in (*STAGES, "simulator"):
                pipeline.kill(stage, signal.SIGTERM)
            with suppress(redis.ConnectionError):
                pipeline.client().shutdown()
            pipeline.redis.process.wait(timeout=20)

    def _whole(self, pipeline: ForkedPipeline) -> bool:
        if pipeline.cycle() < WHOLE_FROM or not self._ready(pipeline):
            return False
        return pipeline.rows("SELECT count(*) FROM gaps WHERE state = 'missing'") == [(0,)]

    def go_on(self, name: str) -> ForkedPipeline:
        """Return a copy of the warm installation, not started."""
        shutil.copytree(self.folder / "warm", self.folder / name)
        return self.pipeline(name)

    def closed_values(self, pipeline: ForkedPipeline) -> dict[str, FeatureSet]:
        """Return what is served of each lane's closed bars, but for the moment at which that was written last.

        The engine may have put off what it writes of the last quotes: then this waits.
        """
        wait_until(lambda: self._written(pipeline), 30, "the values of the last quotes")
        return {name: msgspec.structs.replace(one, forming=None, clock_ms=0) for name, one in self._served(pipeline)}

    def _written(self, pipeline: ForkedPipeline) -> bool:
        """Tell whether all lanes of each symbol have seen the same quotes."""
        newest: dict[str, set[int | None]] = {}
        for _, one in self._served(pipeline):
            newest.setdefault(one.symbol, set()).add(one.market_ms)
        return all(len(seen) == 1 for seen in newest.values())

    def _served(self, pipeline: ForkedPipeline) -> list[tuple[str, FeatureSet]]:
        client = pipeline.client()
        names = [keys.feature_values(0, symbol, timeframe) for symbol in self.digits for timeframe in TIMEFRAMES]
        found = [(name, client.get(name)) for name in names]
        client.close()
        return [(name, decode_features(body)) for name, body in found if isinstance(body, bytes)]

    def _ready(self, pipeline: ForkedPipeline) -> bool:
        values = dict(self._served(pipeline))
        lanes = [values.get(keys.feature_values(0, symbol, "1m")) for symbol in self.digits]
        return all(lane is not None and lane.ready for lane in lanes)
