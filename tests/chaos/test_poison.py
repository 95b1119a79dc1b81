"""Entries that no stage can handle, in the streams of a running pipeline."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from common import keys
from common.keys import FIELD, QUOTES, RAW, Stream
from common.messages import RawQuote, RawQuotes, encode
from common.partition_loop import POISON_LIMIT
from tests.chaos.matrix import fault
from tests.chaos.small_replay import struck
from tests.support import wait_until

Measured = Callable[..., None]


def lag(client: "redis.Redis") -> tuple[object, object]:
    """Return how many raw entries the validator has in hand, and how many it has not read."""
    (group,) = client.xinfo_groups(RAW.key(0))
    return group["pending"], len(client.xrange(RAW.key(0), b"(" + group["last-delivered-id"]) or ())


@pytest.mark.parametrize(("stream", "readers"), [(RAW, ("validator",)), (QUOTES, ("features", "storer"))])
@fault(
    "F09",
    row="one entry that is no message, in the stream of a running stage",
    promise="it alone is set aside, with its reason; the rest flows, everything once",
    teeth="common/partition_loop.py: in _set_aside, raise Fatal(poison.detail) for what is undecodable",
)
def test_one_poison_entry(tmp_path: Path, measured: Measured, stream: Stream, readers: tuple[str, ...]) -> None:
    with struck(tmp_path, strangers=1 if stream is RAW else -1) as pipeline:
        client = pipeline.client()
        client.xadd(stream.key(0), {FIELD: b'{"kind":"quotes","quotes":"none"'})
        for key in (keys.dead(0, reader) for reader in readers):
            wait_until(lambda key=key: client.xlen(key) == 1, 60, f"the entry in {key}")  # type: ignore[misc]
    measured(dead_letters=len(readers), lost=0)


@fault(
    "F09",
    row="nothing but poison",
    promise="the stage stops, says that the code is wrong and not the data, and leaves the entries pending",
    teeth="common/partition_loop.py: in _stop_where_all_is_poison, if False",
)
def test_nothing_but_poison(tmp_path: Path, measured: Measured) -> None:
    with struck(tmp_path, strangers=POISON_LIMIT) as pipeline:
        client = pipeline.client()
        pipeline.kill("collector")
        wait_until(lambda: lag(client) == (0, 0), 60, "the validator to have read everything")
        bad = [client.xadd(RAW.key(0), {FIELD: b"garbage"}) for _ in range(POISON_LIMIT)]
        wait_until(lambda: pipeline.processes["validator"].poll() is not None, 60, "the validator to stop")
        assert pipeline.processes.pop("validator").returncode == 1
        assert "none succeeded" in pipeline.log("validator")
        assert client.xpending(RAW.key(0), "validator")["pending"] == POISON_LIMIT
        client.xack(RAW.key(0), "validator", *bad)  # what an operator does when the code is right
        pipeline.start("validator", "collector")
    measured(left_pending=POISON_LIMIT, lost=0)


@fault(
    "F09",
    row="quotes of a symbol that nobody knows, in a raw entry",
    promise="each is put into quarantine with its reason; nothing stops",
    teeth="validator/stage.py: in _quote, do not catch Rejected",
)
def test_quotes_of_an_unknown_symbol(tmp_path: Path, measured: Measured) -> None:
    unknown = RawQuote("NOSUCH", "fx_spot", last=1.0)
    with struck(tmp_path, strangers=1) as pipeline:
        pipeline.client().xadd(RAW.key(0), {FIELD: encode(RawQuotes("yahoo", 1, (unknown, unknown)))})
        query = "SELECT reason, count(*) FROM rejects WHERE symbol = 'NOSUCH' GROUP BY 1"
        wait_until(lambda: pipeline.rows(query) == [("unknown_symbol", 2)], 60, "both in quarantine")
    measured(quarantined=2, lost=0)
