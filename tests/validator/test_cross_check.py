"""Several sources of one instrument before the validator: flagged, outvoted, and what a check never touches."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.messages import Quote, Reject
from common.metrics import Metrics
from common.stage import Entry
from common.symbols import load_symbols
from common.symbols.table import BUILTIN
from tests.validator.support import (
    NEW_YORK_OPEN,
    T0,
    TABLE,
    HashLink,
    arrived,
    judged,
    only,
    quote,
    settings,
    story,
    validator,
)
from validator.stage import Validator, validator_spec

PIP = 0.000_1


@dataclass
class Feeds:
    """Plays sources second by second: each tells a price at a market time."""

    judge: Validator = field(default_factory=validator)
    at_ms: int = T0
    checks: tuple[str, ...] = ()
    """Sources that are asked as a check."""

    def tell(self, source: str, price: float, *, late_ms: int = 0) -> Quote | Reject:
        """Return what becomes of one quote that is `late_ms` old."""
        raw, received_ms = quote(price, self.at_ms - late_ms), self.at_ms + 200
        return only(self.judge, arrived(raw, received_ms=received_ms, source=source, check=source in self.checks))

    def second(self, **prices: float) -> dict[str, str]:
        """Return source -> its story, for one second of them all."""
        self.at_ms += 1_000
        return {source: story([self.tell(source, price)])[0] for source, price in prices.items()}


def calm(feeds: Feeds, **offsets: float) -> None:
    """Half a minute in which the sources tell the same, but for their offsets."""
    for i in range(30):
        price = 1.1 + 0.000_01 * (i % 3)
        found = feeds.second(**{source: price + offset for source, offset in offsets.items()})
        assert set(found.values()) <= {"ok", "ok:first_quote"}, found


def test_two_sources_that_differ_by_half_a_pip_agree() -> None:
    calm(Feeds(), polygon=0.0, yahoo=PIP / 2)


def test_two_sources_that_differ_are_both_flagged_with_a_lower_score_and_a_detail() -> None:
    feeds = Feeds(checks=("yahoo",))
    calm(feeds, polygon=0.0, yahoo=0.0)
    feeds.second(polygon=1.1, yahoo=1.102)
    feeds.at_ms += 1_000
    ours, theirs = feeds.tell("polygon", 1.1), feeds.tell("yahoo", 1.102)
    assert isinstance(ours, Quote)
    assert isinstance(theirs, Quote)
    assert "disagrees" in ours.reasons
    assert "disagrees" in theirs.reasons
    assert ours.score == pytest.approx(0.65)  # below what a signal may rest on (0.7), above quarantine (0.5)
    assert ours.detail.startswith("polygon 1.1 differs from yahoo (check) 1.102 by -18.2 bp (-200 ticks), allowed ")
    assert theirs.detail.startswith("yahoo (check) 1.102 differs from polygon 1.1 by +18.2 bp (+200 ticks), allowed ")


def test_two_that_feed_the_series_in_turn_and_differ_are_both_flagged_and_taken() -> None:
    feeds = Feeds()
    calm(feeds, polygon=0.0, yahoo=0.0)
    feeds.second(polygon=1.1, yahoo=1.102)
    for _ in range(100):  # however long: what the sources differ by is not what the market moves
        found = feeds.second(polygon=1.1, yahoo=1.102)
        assert found == {"polygon": "ok:disagrees,jump", "yahoo": "ok:disagrees,jump"}


def test_the_flags_end_when_they_agree_again_and_when_one_is_gone() -> None:
    feeds = Feeds(checks=("yahoo",))
    calm(feeds, polygon=0.0, yahoo=0.0)
    feeds.second(polygon=1.1, yahoo=1.102)
    assert feeds.second(polygon=1.1, yahoo=1.102)["polygon"] == "ok:disagrees"
    feeds.second(polygon=1.1, yahoo=1.1)
    assert feeds.second(polygon=1.1, yahoo=1.1) == {"polygon": "ok", "yahoo": "ok"}
    feeds.second(polygon=1.1, yahoo=1.102)
    assert feeds.second(polygon=1.1)["polygon"] == "ok:disagrees"
    feeds.at_ms += 60_000
    assert feeds.second(polygon=1.1)["polygon"] == "ok"


def test_of_three_the_one_far_from_the_middle_is_quarantined_and_the_others_keep_their_score() -> None:
    feeds = Feeds()
    calm(feeds, polygon=0.0, yahoo=0.0, twelvedata=0.0)
    feeds.second(polygon=1.1, yahoo=1.102, twelvedata=1.1)
    for _ in range(5):
        assert feeds.second(polygon=1.1, yahoo=1.102, twelvedata=1.1) == {
            "polygon": "ok", "yahoo": "reject:outvoted", "twelvedata": "ok",
        }  # fmt: skip
    feeds.at_ms += 1_000
    out = feeds.tell("yahoo", 1.102)
    assert isinstance(out, Reject)
    assert out.score == 0.0
    assert "polygon 1.1 by +18.2 bp" in out.detail
    assert "twelvedata 1.1 by +18.2 bp" in out.detail
    feeds.second(polygon=1.1, yahoo=1.1, twelvedata=1.1)
    assert feeds.second(polygon=1.1, yahoo=1.1, twelvedata=1.1)["yahoo"] == "ok"


def test_the_outvoted_do_not_prove_a_new_level_and_the_majority_does_at_once() -> None:
    feeds = Feeds()
    calm(feeds, polygon=0.0, yahoo=0.0, twelvedata=0.0)
    for _ in range(10):  # three quotes that agree with each other would otherwise be believed
        found = feeds.second(polygon=1.1, yahoo=1.15, twelvedata=1.1)
        assert found["yahoo"] in ("reject:spike", "reject:outvoted")
        assert (found["polygon"], found["twelvedata"]) == ("ok", "ok")
    level = 1.13
    told = [feeds.second(polygon=level, yahoo=level, twelvedata=level) for _ in range(3)]
    assert all(set(found.values()) == {"ok"} for found in told[2:]), told


def test_a_source_of_another_scale_never_feeds_the_series() -> None:
    feeds = Feeds()
    calm(feeds, polygon=0.0, yahoo=0.0, twelvedata=0.0)
    for _ in range(400):  # alone it would be believed after 60 quotes and 300 s
        found = feeds.second(polygon=1.1, yahoo=11.0, twelvedata=1.1)
        assert found["yahoo"].startswith("reject:")
        assert (found["polygon"], found["twelvedata"]) == ("ok", "ok")


def test_a_real_jump_that_one_source_sees_first_is_not_outvoted() -> None:
    feeds = Feeds()
    calm(feeds, polygon=0.0, yahoo=0.0, twelvedata=0.0)
    found = feeds.second(polygon=1.104)
    assert "outvoted" not in found["polygon"]
    assert "disagrees" not in found["polygon"]
    found = feeds.second(polygon=1.104, yahoo=1.104, twelvedata=1.104)
    assert not any("disagrees" in one or "reject" in one for one in found.values()), found


def test_classes_are_not_compared_with_each_other() -> None:
    judge = validator("none")
    future = quote(20_100.0, NEW_YORK_OPEN, symbol="NAS100", source_class="cme_nq_future")
    cash = quote(20_000.0, NEW_YORK_OPEN, symbol="NAS100", source_class="ndx_cash")
    assert story(judged(judge, arrived(future, source="yahoo"), arrived(cash))) == ["ok:first_quote", "ok:first_quote"]
    assert judge.figures() == {}


def test_a_stale_source_is_not_compared() -> None:
    feeds = Feeds(checks=("yahoo",))
    calm(feeds, polygon=0.0)
    feeds.second(yahoo=1.102)
    assert feeds.second(polygon=1.1)["polygon"] == "ok:disagrees"
    feeds.at_ms += 60_000
    assert feeds.second(polygon=1.1)["polygon"] == "ok"


def test_a_delayed_source_is_compared_at_its_own_market_time(tmp_path: Path) -> None:
    # The same table, with one source of fx_spot ten minutes late by contract.
    text = BUILTIN.read_text()
    listing = '{ vendor = "yahoo", symbol = "EURUSD=X", class = "fx_spot", volume = "none", delay_s = 0 }'
    file = tmp_path / "symbols.toml"
    file.write_text(text.replace(listing, listing.replace("delay_s = 0", "delay_s = 600")))
    feeds = Feeds(Validator(0, load_symbols(["EURUSD"], file), settings("real"), Metrics("validator")))
    trend = [1.1 + 0.000_01 * i for i in range(900)]  # a tenth of a pip a second: 60 pips in ten minutes
    for second, price in enumerate(trend):
        feeds.at_ms += 1_000
        assert "disagrees" not in story([feeds.tell("polygon", price)])[0]
        if second >= 600:
            assert "disagrees" not in story([feeds.tell("yahoo", trend[second - 600], late_ms=600_000)])[0]
    feeds.at_ms += 1_000
    assert "disagrees" in story([feeds.tell("yahoo", trend[300] + 20 * PIP, late_ms=600_000)])[0]


# -- checks ----------------------------------------------------------------------------------------


def test_a_check_is_judged_compared_and_marked() -> None:
    feeds = Feeds(checks=("twelvedata",))
    calm(feeds, polygon=0.0)
    good = feeds.tell("twelvedata", 1.1)
    assert isinstance(good, Quote)
    assert good.check
    assert "disagrees" not in good.reasons
    feeds.at_ms += 20_000
    feeds.second(polygon=1.1)
    far = feeds.tell("twelvedata", 1.103)
    assert "disagrees" in story([far])[0]
    assert "disagrees" in feeds.second(polygon=1.1)["polygon"]
    bad = feeds.tell("twelvedata", 11.0)
    assert isinstance(bad, Reject)
    assert (bad.reason, bad.check) == ("spike", True)


def test_checks_move_nothing_of_the_series() -> None:
    with_checks, without = Feeds(checks=("twelvedata",)), Feeds()
    calm(with_checks, polygon=0.0)
    calm(without, polygon=0.0)
    for i in range(200):  # a level that lasts would be believed of a source that feeds the series
        with_checks.tell("twelvedata", 1.13 + 0.000_01 * i)
        with_checks.at_ms += 2_000
        without.at_ms += 2_000
    states = []
    for feeds in (with_checks, without):
        link = HashLink()
        link.apply(feeds.judge.handle((arrived(quote(1.100_05, feeds.at_ms)),)).writes)
        states.append(link.hashes["{0}:state:validator"][b"series|EURUSD|fx_spot"])
    assert states[0] == states[1]


def test_a_check_of_the_source_that_feeds_the_series_takes_no_part_in_its_volume_and_duplicates() -> None:
    judge = validator("none")

    def told(at_ms: int, volume: float, *, check: bool) -> Entry:
        raw = quote(20_000.0, T0 + at_ms, day_volume=volume, symbol="NAS100", source_class="cme_nq_future")
        return arrived(raw, source="yahoo", check=check)

    found = judged(
        judge,
        told(0, 100.0, check=False), told(0, 100.0, check=True), told(500, 105.0, check=True),
        told(1_000, 110.0, check=False),
    )  # fmt: skip
    assert [v.reason for v in found if isinstance(v, Reject)] == []
    assert [(q.volume, q.check) for q in found if isinstance(q, Quote)] == [
        (0.0, False), (0.0, True), (0.0, True), (10.0, False),
    ]  # fmt: skip


def test_the_push_and_the_poll_of_one_vendor_are_compared() -> None:
    feeds = Feeds()
    calm(feeds, yahoo=0.0)
    feeds.checks = ("yahoo",)
    feeds.tell("yahoo", 1.102)
    feeds.checks = ()
    assert "disagrees" in feeds.second(yahoo=1.1)["yahoo"]


# -- what the operator sees ------------------------------------------------------------------------


def test_figures_and_gauges_say_who_was_compared_how_far_apart_and_since_when() -> None:
    metrics = Metrics("validator")
    spec = validator_spec(TABLE, settings(), metrics)
    judge = spec.make_handler(0)
    assert isinstance(judge, Validator)
    feeds = Feeds(judge)
    assert spec.info() == {"comparisons": {}}
    calm(feeds, polygon=0.0, yahoo=0.0)
    feeds.second(polygon=1.1, yahoo=1.102)
    since_ms = feeds.at_ms + 200
    feeds.second(polygon=1.1, yahoo=1.102)
    (figure,) = judge.figures()["EURUSD"]
    assert (figure["source_class"], figure["sources"]) == ("fx_spot", ["polygon", "yahoo"])
    assert figure["difference_ticks"] == pytest.approx(-200, abs=1)
    assert figure["difference_bp"] == pytest.approx(-18.2, abs=0.1)
    assert (figure["disagreeing_since_ms"], figure["compared_ms"]) == (since_ms, since_ms + 1_000)
    assert spec.info() == {"comparisons": judge.figures()}
    gauges = {(s.name, s.labels["source"], s.labels["other"]): s.value for s in metrics.snapshot().gauges}
    assert gauges["md_source_difference_ratio", "polygon", "yahoo"] == pytest.approx(-0.001_816_5, abs=1e-6)
    assert gauges["md_source_disagrees", "polygon", "yahoo"] == 1.0
    for _ in range(2):
        feeds.second(polygon=1.1, yahoo=1.1)
    assert judge.figures()["EURUSD"][0]["disagreeing_since_ms"] is None


def test_a_restarted_validator_knows_what_it_compared() -> None:
    link, feeds = HashLink(), Feeds()
    for price in (1.1, 1.1001, 1.1):
        for source, offset in (("polygon", 0.0), ("yahoo", 0.002)):
            entry = arrived(quote(price + offset, feeds.at_ms), received_ms=feeds.at_ms + 200, source=source)
            link.apply(feeds.judge.handle((entry,)).writes)
        feeds.at_ms += 1_000
    again = validator()
    again.restore(link)
    assert again.figures() == feeds.judge.figures()
    assert again.figures()["EURUSD"][0]["disagreeing_since_ms"] == T0 + 200
