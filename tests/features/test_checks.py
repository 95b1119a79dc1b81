"""Quotes that were collected to check another source: in no bar, no forming value, no volume, no price."""

import msgspec

from common.messages import Bars, Quote, Quotes
from tests.features.support import MONDAY_MS, Entries, Store, clock, handler, quote

NOW_MS = MONDAY_MS + 3_600_000


def check_of(price: float, at_ms: int) -> Quote:
    return msgspec.structs.replace(
        quote("NAS100", NOW_MS + at_ms, price, volume=99.0, kind="traded"), check=True, source="twelvedata"
    )


def played(*, with_checks: bool) -> tuple[list[object], dict[str, object]]:
    """Return what a minute of quotes publishes and writes, with checks at wild prices among them or without."""
    store, entries = Store(), Entries()
    stage = handler(store, ("NAS100",), timeframes=("1s", "1m"))
    published: list[object] = []
    for second in range(70):
        quotes = [quote("NAS100", NOW_MS + second * 1_000, 15_000.0 + second, volume=1.0, kind="traded")]
        checks = [check_of(20_000.0, second * 1_000), check_of(10_000.0, second * 1_000 + 500)] if with_checks else []
        batch = entries.of(Quotes((*checks[:1], *quotes, *checks[1:])), clock(NOW_MS + second * 1_000 + 900, second))
        outcome = store.commit(stage.handle(batch))
        published += [p.message for p in outcome.publish]
    return published, store.keys


def test_checks_change_nothing_that_is_published_or_written() -> None:
    published, written = played(with_checks=False)
    assert any(isinstance(message, Bars) for message in published)
    assert played(with_checks=True) == (published, written)


def test_a_check_alone_begins_no_bar() -> None:
    store = Store()
    stage = handler(store, ("NAS100",), timeframes=("1m",))
    outcome = stage.handle(Entries().of(Quotes((check_of(15_000.0, 0),)), clock(NOW_MS + 62_000)))
    assert not [p for p in outcome.publish if isinstance(p.message, Bars)]
