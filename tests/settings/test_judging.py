"""What the variables of judging, bars, features and signals do: by verdicts, bars, caches, and the api's answers."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import talib

import features.rules as rules_module
from common import keys
from common.features import decode_features
from common.messages import Quote, Quotes, Reject, Signal
from common.metrics import Metrics
from common.strategies.strategy_file import BUILTIN
from common.symbols import load_symbols
from tests.features.market import START_MS, cycles, past
from tests.features.support import NO_STRATEGIES, Store, clock, history, quote
from tests.features.test_signals import ALWAYS
from tests.settings.judging import cached, closed_bars, features_handler, first_quote, handle
from tests.settings.proof import Given, proves
from tests.settings.serving import api_over
from tests.validator.support import T0, arrived, only
from tests.validator.support import clock as raw_clock
from tests.validator.support import quote as raw_quote
from validator.stage import Validator

BARS = 1_400
"""In the history of these tests: more than any of their caches holds."""


def validator(given: Given, **variables: object) -> Validator:
    settings = given(**variables)
    return Validator(0, load_symbols(settings.symbols, settings.symbols_file), settings, Metrics("validator"))


@proves("REJECT_SCORE")
@pytest.mark.parametrize(("least", "kind"), [("0.79", Quote), ("0.81", Reject)])
def test_a_quote_below_the_score_goes_into_quarantine(given: Given, least: str, kind: type) -> None:
    judge = validator(given, REJECT_SCORE=least)
    verdict = only(judge, arrived(raw_quote(bid=1.10, ask=1.12)))  # a spread of 2 % costs a fifth of the score
    assert isinstance(verdict, kind)
    assert verdict.score == pytest.approx(0.8)


@proves("TIMEFRAMES")
def test_bars_of_these_timeframes_are_built_and_no_others(given: Given) -> None:
    built = {}
    for timeframes in ("1s,1m", "5m"):
        handler = features_handler(given(TIMEFRAMES=timeframes, LIMITS="none"), Store())
        built[timeframes] = closed_bars(handler, clock(first_quote(handler, "EURUSD") + 7_200_000))
    assert built == {"1s,1m": ["1s", "1m"], "5m": ["5m"]}


@proves("TIMEFRAMES")
async def test_a_timeframe_that_is_not_built_is_refused_by_the_api(given: Given) -> None:
    async with api_over(given(TIMEFRAMES="1m,1h")) as (client, _):
        assert (await client.get("/api/bars/EURUSD?timeframe=1h")).status_code == 200
        assert (await client.get("/api/bars/EURUSD?timeframe=5m")).status_code == 422


@proves("LATENESS")
@pytest.mark.parametrize(("lateness", "closes_after_ms"), [("0", 60_000), ("7.5", 67_500)])
def test_a_bar_closes_so_long_after_its_end(given: Given, lateness: str, closes_after_ms: int) -> None:
    handler = features_handler(given(LATENESS=lateness, TIMEFRAMES="1m", LIMITS="none"), Store())
    at_ms = first_quote(handler, "EURUSD")
    assert closed_bars(handler, clock(at_ms + closes_after_ms - 1)) == []
    assert closed_bars(handler, clock(at_ms + closes_after_ms)) == ["1m"]


@proves("LATENESS")
@pytest.mark.parametrize(("lateness", "late"), [("2", True), ("10", False)])
def test_a_quote_is_late_when_its_bar_is_closed(given: Given, lateness: str, late: bool) -> None:
    judge = validator(given, LATENESS=lateness)
    judge.handle((raw_clock(T0 + 5_000),))
    verdict = only(judge, arrived(raw_quote(1.1), received_ms=T0 + 5_100))
    assert isinstance(verdict, Quote)
    assert ("late" in verdict.reasons) is late


@proves("INDICATORS_FILE")
def test_what_is_computed_is_what_the_plan_says(given: Given, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[indicators]\nhull_9 = { function = "HMA", timeperiod = 9 }\n')
    store = Store()
    handler = features_handler(
        given(INDICATORS_FILE=plan, STRATEGIES_FILE=NO_STRATEGIES, TIMEFRAMES="1m", LIMITS="none"), store
    )
    handle(handler, store, [clock(START_MS + 5_000), history(past("EURUSD", "1m", 1, 100)), clock(START_MS + 6_000)])
    closes = np.array([bar.close for bar in past("EURUSD", "1m", 1, 100)])
    values = decode_features(store.keys[keys.feature_values(0, "EURUSD", "1m")]).values
    assert values == {"hull_9": talib.HMA(closes, 9)[-1]}


@proves("STRATEGIES_FILE")
def test_signals_are_those_of_the_strategies_in_the_file(given: Given, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    text = BUILTIN.read_text().replace("[strategies.trend_following]", "[strategies.mine]")
    own.write_text(text.replace("stop_atr = 1.5", "stop_atr = 3.0"))
    messages = [clock(START_MS, 0), history(past("EURUSD", "1m", 1)), *cycles(("EURUSD",), 1, 3_600, 10, 0.002)]
    found: dict[Path | None, list[Signal]] = {}
    for file in (None, own, NO_STRATEGIES):
        changes = {"STRATEGIES_FILE": file} if file else {}
        handler = features_handler(given(**changes, TIMEFRAMES="1m", SYMBOLS="EURUSD", LIMITS="none"), Store())
        found[file] = [m for m in handle(handler, Store(), messages) if isinstance(m, Signal)]
    assert {s.strategy for s in found[None]} == {"trend_following"}
    assert {s.strategy for s in found[own]} == {"mine"}
    for one, other in zip(found[None], found[own], strict=True):
        assert other.bar_open_ms == one.bar_open_ms
        assert other.entry - other.stop_loss == pytest.approx(2 * (one.entry - one.stop_loss), abs=3e-5)  # rounding
    assert found[NO_STRATEGIES] == []


@proves("MAX_BARS_CACHE", "ANCHOR_BARS")
@pytest.mark.parametrize(("longest", "anchor"), [(1_000, 50), (1_000, 200), (1_100, 50)])
def test_the_bar_cache_holds_the_history_and_the_bars_between_two_anchors(
    given: Given, longest: int, anchor: int
) -> None:
    store = Store()
    settings = given(MAX_BARS_CACHE=longest, ANCHOR_BARS=anchor, TIMEFRAMES="1m", SYMBOLS="EURUSD", LIMITS="none")
    handler = features_handler(settings, store)
    handle(handler, store, [clock(START_MS), history(past("EURUSD", "1m", 1, BARS))])
    assert cached(store, "EURUSD", "1m") == longest + anchor
    handle(handler, store, list(cycles(("EURUSD",), 1, 300, every_s=20)))  # a few more bars
    assert cached(store, "EURUSD", "1m") == longest + anchor
    values = decode_features(store.keys[keys.feature_values(0, "EURUSD", "1m")])
    assert longest <= values.bars_seen < longest + anchor


@proves("ANCHOR_BARS")
@pytest.mark.parametrize("anchor", [10, 40])
def test_indicators_start_afresh_at_each_anchor(given: Given, anchor: int) -> None:
    store = Store()
    settings = given(MAX_BARS_CACHE=1_000, ANCHOR_BARS=anchor, TIMEFRAMES="1m", SYMBOLS="EURUSD", LIMITS="none")
    handler = features_handler(settings, store)
    handle(handler, store, [clock(START_MS), history(past("EURUSD", "1m", 1, BARS))])
    seen: list[int] = []
    for end_ms in range(START_MS + 60_000, START_MS + 91 * 60_000, 60_000):
        tick = Quotes((quote("EURUSD", end_ms - 30_000, 1.14),))
        handle(handler, store, [tick, clock(end_ms + 2_000)])
        seen.append(decode_features(store.keys[keys.feature_values(0, "EURUSD", "1m")]).bars_seen)
    fresh = [at for at, (before, now) in enumerate(pairwise(seen)) if now < before]
    assert {b - a for a, b in pairwise(fresh)} == {anchor}
    assert all(seen[at + 1] == 1_000 for at in fresh)


@proves("MAX_BARS_CACHE")
async def test_the_api_gives_at_most_as_many_bars_as_the_cache_is_for(given: Given) -> None:
    async with api_over(given(MAX_BARS_CACHE=1_200, ANCHOR_BARS=34)) as (client, _):
        assert (await client.get("/api/bars/EURUSD?limit=1234")).status_code == 200
        assert (await client.get("/api/bars/EURUSD?limit=1235")).status_code == 422


@proves("FEATURE_CACHE_TTL")
@pytest.mark.parametrize("ttl_ms", [500, 9_000])
async def test_values_are_current_so_long_after_the_engines_last_pass(given: Given, ttl_ms: int) -> None:
    async with api_over(given(FEATURE_CACHE_TTL=ttl_ms / 1000)) as (client, world):
        current = {}
        for age_ms in (ttl_ms, ttl_ms + 1):
            world.alive("EURUSD")
            world.engine(wall_ms=world.wall.ms - age_ms)
            current[age_ms] = (await client.get("/api/features/EURUSD?timeframe=1s")).json()["current"]
    assert current == {ttl_ms: True, ttl_ms + 1: False}


@proves("SIGNAL_EXPIRY")
@pytest.mark.parametrize(("expiry", "lasts_ms"), [("1.5", 1_500), ("60", 60_000)])
def test_a_signal_expires_so_long_after_it_was_published(
    given: Given, monkeypatch: pytest.MonkeyPatch, expiry: str, lasts_ms: int
) -> None:
    strategies = (replace(ALWAYS, cooldown_bars=0),)
    monkeypatch.setattr(rules_module, "load_strategies", lambda _file, _lanes: strategies)
    store = Store()
    handler = features_handler(given(SIGNAL_EXPIRY=expiry, TIMEFRAMES="1m", SYMBOLS="EURUSD", LIMITS="none"), store)
    handle(handler, store, [clock(START_MS, 0), history(past("EURUSD", "1m", 1))])
    published = handle(handler, store, list(cycles(("EURUSD",), 1, 300, every_s=10)))
    signals = [message for message in published if isinstance(message, Signal)]
    assert signals
    assert {s.expires_ms - s.published_ms for s in signals} == {lasts_ms}


@proves("DEFAULT_EQUITY", "RISK_PER_TRADE")
@pytest.mark.parametrize(
    ("equity", "risk", "lots"),
    [
        # The stop is 0.00109 away: 109 USD a lot. 1 % of 2,000 is 20 USD: 0.183 lots; floored to hundredths.
        ("2000", "0.01", 0.18),
        # 1 % of 5,000 is 50 USD: 0.458 lots.
        ("5000", "0.01", 0.45),
        # 4 % of 2,000 is 80 USD: 0.733 lots.
        ("2000", "0.04", 0.73),
    ],
)
async def test_a_signal_is_sized_for_this_equity_and_this_share_of_it(
    given: Given, equity: str, risk: str, lots: float
) -> None:
    variables = {"DEFAULT_EQUITY": equity, "RISK_PER_TRADE": risk, "LIMITS": "none", "ACCOUNT_LEVERAGE": "500"}
    async with api_over(given(**variables)) as (client, world):
        world.alive("EURUSD")
        world.signal("EURUSD")
        reply = (await client.get("/api/signals")).json()
    assert (reply["equity"], reply["signals"][0]["lots"]) == (float(equity), lots)
