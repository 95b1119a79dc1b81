"""A transaction that fails half: what failed is kept, and issued once when its key is mended."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import Fatal
from common.keys import BACKFILL, RAW
from common.messages import Clock
from common.redis_link import Link
from tests.collector import test_backfill
from tests.collector.cycle_rig import Rig, restarted, rig_of
from tests.collector.kit import T0, ok, prices


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(valkey_link, tmp_path) as made:
        yield made


def kept(folder: Path, ending: str = "json") -> list[Path]:
    """The files of held commands: `done` when they were issued."""
    return sorted((folder / "dead-letters").glob(f"collector-p0-*.{ending}"))


def spoil(link: Link, key: str) -> None:
    """Put a string where a stream was: an XADD to it fails inside the transaction, and all else takes effect."""
    link.exchange([("DEL", key), ("SET", key, "sabotage")])


async def test_what_a_cycle_could_not_write_is_kept_and_issued_once_by_the_next_life(rig: Rig, tmp_path: Path) -> None:
    await rig.step()
    spoil(rig.link, RAW.key(0))
    rig.a.behave = prices(2, EURUSD=1.11, GBPUSD=1.31)
    with pytest.raises(Fatal, match=r"WRONGTYPE.*kept in .*dead-letters/collector-p0-"):
        await rig.step()
    assert len(kept(tmp_path)) == 1
    with pytest.raises(Fatal, match="expected a stream"):
        async with restarted(rig, tmp_path):
            pass
    assert len(kept(tmp_path)) == 1, "not mended: still kept"
    rig.link.call("DEL", RAW.key(0))
    for _ in range(2):
        async with restarted(rig, tmp_path) as again:
            assert again.publisher.cycle == 2
    assert rig.quotes() == [("a", "EURUSD", 1.11), ("a", "GBPUSD", 1.31)]
    assert [m.cycle for m in rig.raw() if isinstance(m, Clock)] == [2]
    assert (kept(tmp_path), len(kept(tmp_path, "done"))) == ([], 1)


async def test_history_that_could_not_be_written_is_kept_though_its_request_is_acknowledged(
    valkey_link: Link, tmp_path: Path
) -> None:
    async with test_backfill.make(valkey_link, tmp_path) as rig:
        rig.a.behave = ok({"bars": [[T0 - 60_000, 1.5]]})
        rig.ask()
        spoil(valkey_link, RAW.key(0))
        with pytest.raises(Fatal, match="WRONGTYPE"):
            await rig.until(lambda: False)
        assert rig.pending() == 0
    (file,) = kept(tmp_path)
    assert BACKFILL.name.encode() in file.read_bytes(), "it names the request's entry"
    valkey_link.call("DEL", RAW.key(0))
    async with test_backfill.make(valkey_link, tmp_path) as again:
        assert [len(m.bars) for m in again.answers()] == [1]
