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
from tests.chaos.forked import ForkedPipeline
from tests.chaos.quotes_data import FIRST_MS, STEP_MS, symbol_table
from tests.pipeline.harness import STAGES
from tests.support import wait_until

TIMEFRAMES = ("1m", "5m")


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
        """Make the installation `warm`: stopped after its first cycles, with the vendors' history of every symbol."""
        with self.pipeline("warm") as pipeline:
            self.start(pipeline, "1")
            wait_until(lambda: self._ready(pipeline) and pipeline.settled(), deadline_s, "warm indicators")
            for stage in (*STAGES, "simulator"):
                pipeline.kill(stage, signal.SIGTERM)
            with suppress(redis.ConnectionError):
                pipeline.client().shutdown()
            pipeline.redis.process.wait(timeout=20)

    def go_on(self, name: str) -> ForkedPipeline:
        """Return a copy of the warm installation, not started."""
        shutil.copytree(self.folder / "warm", self.folder / name)
        return self.pipeline(name)

    def closed_values(self, pipeline: ForkedPipeline) -> dict[str, FeatureSet]:
        """Return what is served of each lane's closed bars."""
        client = pipeline.client()
        names = [keys.feature_values(0, symbol, timeframe) for symbol in self.digits for timeframe in TIMEFRAMES]
        found = [(name, client.get(name)) for name in names]
        client.close()
        return {
            name: msgspec.structs.replace(decode_features(body), forming=None)
            for name, body in found
            if isinstance(body, bytes)
        }

    def _ready(self, pipeline: ForkedPipeline) -> bool:
        values = self.closed_values(pipeline)
        lanes = [values.get(keys.feature_values(0, symbol, "1m")) for symbol in self.digits]
        return all(lane is not None and lane.ready for lane in lanes)
