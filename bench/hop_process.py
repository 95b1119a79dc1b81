"""The stage under measurement: `python -m bench.hop_process ours|peer <port> <folder>`."""

import sys
from pathlib import Path
from typing import cast

import redis

from common.keys import FIELD, QUOTES, RAW
from common.loop import run_stage
from common.redis_link import Link
from common.settings import Settings
from common.stage import Batch, Outcome, Publication, StageSpec

GROUP = "validator"
Reply = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


class Forward:
    """Publishes what it gets."""

    def restore(self, _link: Link) -> Outcome:
        return Outcome()

    def handle(self, batch: Batch) -> Outcome:
        return Outcome(publish=[Publication(QUOTES, entry.message) for entry in batch])


def ours(port: int, folder: Path) -> None:
    """Run the project's loop."""
    settings = Settings.model_construct(
        redis_host="127.0.0.1", redis_port=port, state_dir=folder, partitions=(0,), supervisor_process_name="bench"
    )
    run_stage(StageSpec(GROUP, (RAW,), (QUOTES,), lambda _partition: Forward()), settings)


def peer(port: int) -> None:
    """Run what one would write first."""
    client = redis.Redis(host="127.0.0.1", port=port, protocol=2)
    client.xgroup_create(RAW.key(0), GROUP, "0", mkstream=True)
    while True:
        reply = client.xreadgroup(GROUP, "bench", {RAW.key(0): ">"}, count=500, block=1000)
        for stream, entries in cast(Reply, reply):
            for entry_id, fields in entries:
                client.xadd(QUOTES.key(0), {FIELD: fields[FIELD]})
                client.xack(stream, GROUP, entry_id)


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        ours(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        peer(int(sys.argv[2]))
