"""Records made in hand: what is replayed equal, what is found different, and what is not promised."""

import pytest

from common.redis_link import Link
from replay.tally import Difference, Findings
from tests.features.market import START_MS
from tests.replay.made import ALL, CYCLES, WALL_MS, Copy, Live, found, raw_cycles, replayed

MINUTE = 60_000
BUILT = "bars WHERE origin = 'built'"


def first(findings: Findings, kind: str) -> Difference:
    difference = findings.tallies[kind].first
    assert difference is not None
    return difference


def test_everything_comes_out_as_it_is_stored(recorded: Copy, link: Link) -> None:
    findings = replayed(recorded.path, link)

    tables = {"quotes": "market_data", "rejects": "rejects", "bars": BUILT, "signals": "signals"}
    counts = {kind: recorded.one(f"SELECT count(*) FROM {table}") for kind, table in tables.items()}
    assert found(findings) == {"vendors' history": (0, 0), **{kind: (count, 0) for kind, count in counts.items()}}
    assert all(counts.values())  # or this test shows nothing
    assert (findings.entries, findings.cycles, findings.fresh_starts) == (2 * CYCLES, CYCLES, 0)


def test_a_part_is_compared_from_its_first_to_its_last_cycle(recorded: Copy, link: Link) -> None:
    bounds = START_MS + 5 * MINUTE, START_MS + 10 * MINUTE

    findings = replayed(recorded.path, link, bounds)

    closed_ms = "open_ms + CASE timeframe WHEN '1s' THEN 1000 ELSE 60000 END + 2000"
    first_ms, last_ms = bounds[0] - 5_000, bounds[1] - 5_000  # the clock before, and the last one
    expected = recorded.one(f"SELECT count(*) FROM {BUILT} AND {closed_ms} > {first_ms} AND {closed_ms} <= {last_ms}")
    assert found(findings)["bars"] == (expected, 0)
    assert sum(found(findings)[kind][0] for kind in ("quotes", "rejects")) == 2 * 60
    assert findings.cycles == 119  # from the beginning of the record on


def test_symbols_that_are_not_asked_for_are_left_out(recorded: Copy, link: Link) -> None:
    recorded.change("UPDATE bars SET close = close + 1 WHERE symbol = 'XAUUSD'")

    findings = replayed(recorded.path, link, only=["EURUSD"])

    assert findings.differing == 0
    assert found(findings)["bars"][0] == recorded.one(f"SELECT count(*) FROM {BUILT} AND symbol = 'EURUSD'")


def test_a_price_that_was_altered_is_named(recorded: Copy, link: Link) -> None:
    raw_ms = WALL_MS + 100_000
    recorded.change(f"UPDATE market_data SET price = 1.5 WHERE raw_ms = {raw_ms} AND symbol = 'EURUSD'")

    difference = first(replayed(recorded.path, link), "quotes")

    assert difference.raw_id == f"{raw_ms}-0"
    assert difference.what == "EURUSD of yahoo (fx_spot), number 0 in the entry"
    assert difference.details[0].startswith("price: stored 1.5, replayed 1.")


def test_an_altered_input_shows_in_what_was_made_of_it(recorded: Copy, link: Link) -> None:
    raw_ms = WALL_MS + 100_000
    recorded.change(f"UPDATE market_data SET price = 1.5, last = 1.5 WHERE raw_ms = {raw_ms} AND symbol = 'EURUSD'")

    findings = replayed(recorded.path, link)

    stored, now = first(findings, "quotes").details
    assert stored.startswith("stored: accepted at 1.5 with score ")
    assert now.startswith("replayed: rejected for spike (expected within ")
    assert first(findings, "bars").raw_id > f"{raw_ms}"


@pytest.mark.parametrize(
    ("statement", "details"),
    [
        ("UPDATE bars SET close = close + 1 WHERE {}", ("close: stored 2.", )),
        ("DELETE FROM bars WHERE {}", ("replayed, not stored",)),
    ],
)  # fmt: skip
def test_a_bar_that_was_altered_or_removed_is_named(
    recorded: Copy, link: Link, statement: str, details: tuple[str, ...]
) -> None:
    open_ms = START_MS + 7 * MINUTE
    recorded.change(statement.format(f"symbol = 'EURUSD' AND timeframe = '1m' AND open_ms = {open_ms}"))

    findings = replayed(recorded.path, link)

    difference = first(findings, "bars")
    assert difference.what == f"EURUSD fx_spot 1m, opens at {open_ms}"
    assert all(line.startswith(start) for line, start in zip(difference.details, details, strict=True))
    assert difference.raw_id == f"{WALL_MS + 97_000}-1"  # the first clock 2 s after its end: cycle 97, at 8 min 5 s
    assert findings.differing == 1


def test_a_bar_that_nothing_led_to_is_named(recorded: Copy, link: Link) -> None:
    open_ms = START_MS - MINUTE
    recorded.change(f"UPDATE bars SET origin = 'built' WHERE symbol = 'EURUSD' AND open_ms = {open_ms}")

    difference = first(replayed(recorded.path, link), "bars")

    assert difference.what == f"EURUSD fx_spot 1m, opens at {open_ms}"
    assert difference.details == ("stored, not replayed",)


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("DELETE FROM signals WHERE id = '{}'", "replayed, not stored"),
        ("UPDATE signals SET stop_loss = 1.0 WHERE id = '{}'", "stop_loss: stored 1.0, replayed 1."),
        ("UPDATE signals SET id = 'made up' WHERE id = '{}'", "stored, not replayed"),
    ],
)
def test_a_signal_that_was_altered_removed_or_made_up_is_named(
    recorded: Copy, link: Link, statement: str, detail: str
) -> None:
    name = recorded.one("SELECT id FROM signals WHERE symbol = 'EURUSD' ORDER BY published_ms DESC")
    recorded.change(statement.format(name))

    difference = first(replayed(recorded.path, link), "signals")

    assert difference.what in (name, "made up")
    assert difference.details[0].startswith(detail)


def test_without_the_storers_answers_signals_would_differ(recorded: Copy, link: Link) -> None:
    recorded.change("DELETE FROM history_taken")

    findings = replayed(recorded.path, link)

    assert (found(findings)["quotes"][1], found(findings)["bars"][1]) == (0, 0)
    assert found(findings)["signals"][1] > 0


def test_a_redis_that_was_emptied_is_forgotten_at_the_same_place(live: Live, link: Link) -> None:
    live.run(list(raw_cycles(5, 50)))
    live.run(list(raw_cycles(5, 10, 51)), results=False)
    live.empty_redis()
    live.run(list(raw_cycles(5, 60, 61)))

    findings = replayed(live.path, link)

    assert (findings.differing, findings.fresh_starts) == (0, 1)
    assert findings.tallies["bars"].lost > 10
    fresh = f"SELECT reasons FROM market_data WHERE raw_ms = {WALL_MS + 61_000}"
    assert "first_quote" in Copy(live.path).one(fresh)

    Copy(live.path).change("DELETE FROM incarnations WHERE incarnation = 'word 2'")
    assert replayed(live.path, link).differing > 0


def test_a_replay_begins_where_redis_was_emptied_last(live: Live, link: Link) -> None:
    live.run(list(raw_cycles(5, 50)))
    live.empty_redis()
    live.run(list(raw_cycles(5, 60, 51)))

    findings = replayed(live.path, link, (START_MS + 60 * 5_000, ALL[1]))

    assert (findings.differing, findings.cycles, findings.fresh_starts) == (0, 60, 0)


def test_results_that_the_storer_was_not_given_yet_are_no_difference(live: Live, link: Link) -> None:
    live.run(list(raw_cycles(5, 50)))
    live.run(list(raw_cycles(5, 10, 51)), results=False)

    findings = replayed(live.path, link)
    assert (findings.differing, findings.tallies["bars"].not_stored_yet > 10) == (0, True)

    live.run(list(raw_cycles(5, 10, 61)))
    assert replayed(live.path, link).differing > 10  # now they are missing


def test_a_repair_stands_in_the_place_of_a_bar_that_was_built_in_part(recorded: Copy, link: Link) -> None:
    recorded.change("UPDATE bars SET origin = 'vendor', close = 9 WHERE NOT complete AND timeframe = '1m'")
    recorded.change(f"UPDATE bars SET repaired = 1, close = 9 WHERE timeframe = '1m' AND open_ms = {START_MS + MINUTE}")

    findings = replayed(recorded.path, link)

    assert (findings.differing, findings.tallies["bars"].superseded) == (0, 4)


def test_a_vendors_bar_in_the_place_of_a_whole_one_is_a_difference(recorded: Copy, link: Link) -> None:
    lane = "symbol = 'EURUSD' AND timeframe = '1m'"
    recorded.change(f"UPDATE bars SET origin = 'vendor' WHERE {lane} AND open_ms = {START_MS + MINUTE}")
    assert replayed(recorded.path, link).differing == 1


# -- a shortened lead-in -------------------------------------------------------------------------------


def test_a_shortened_lead_in_gives_the_same_bars_and_signals(recorded: Copy, link: Link) -> None:
    findings = replayed(recorded.path, link, (START_MS + 9 * MINUTE, ALL[1]), lead_in_ms=5 * MINUTE)

    assert (findings.differing, findings.doubtful) == (0, 0)
    assert found(findings)["signals"][0] > 0
    assert findings.cycles == CYCLES - 4 * 12 + 1


def test_what_a_shortened_lead_in_may_explain_is_not_called_a_difference(recorded: Copy, link: Link) -> None:
    recorded.change(f"UPDATE market_data SET score = 0.9 WHERE raw_ms = {WALL_MS + 200_000} AND symbol = 'EURUSD'")
    bounds = (START_MS + 12 * MINUTE, ALL[1])

    findings = replayed(recorded.path, link, bounds, lead_in_ms=8 * MINUTE)
    assert (found(findings)["quotes"][1], findings.differing) == (1, 0)
    assert not first(findings, "quotes").promised

    assert first(replayed(recorded.path, link, bounds), "quotes").promised


def test_a_price_is_promised_whatever_came_before(recorded: Copy, link: Link) -> None:
    recorded.change(f"UPDATE market_data SET price = 1.5 WHERE raw_ms = {WALL_MS + 200_000} AND symbol = 'EURUSD'")

    findings = replayed(recorded.path, link, (START_MS + 12 * MINUTE, ALL[1]), lead_in_ms=MINUTE)

    assert first(findings, "quotes").promised
    assert findings.differing == 1


# -- Redis that went back ------------------------------------------------------------------------------


def test_after_redis_went_back_equality_is_not_promised(recorded: Copy, link: Link) -> None:
    place = WALL_MS + 100_000
    recorded.change(
        f"INSERT INTO rollbacks VALUES (0, {place}, 1, {place - 9_000}, 1, 'word 1', {START_MS}, {START_MS}, 0)"
    )
    recorded.change(f"UPDATE market_data SET score = 0.9 WHERE raw_ms = {place + 50_000}")
    assert replayed(recorded.path, link).differing == 0

    recorded.change(f"UPDATE market_data SET score = 0.9 WHERE raw_ms = {place - 50_000}")
    assert replayed(recorded.path, link).differing == 2
