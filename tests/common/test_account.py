"""An account's rules: where a limit lies, when a day begins anew, and what may still be risked."""

from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from common.account.gate import allow_another, allow_time, allowed_risk
from common.account.rules import AccountRules, load_rules
from common.account.state import AccountState, begin, joined, limits, next_reset_ms, observe
from common.errors import Fatal, Rejected


def at_ms(text: str) -> int:
    """Return a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def preset(name: str) -> AccountRules:
    found = load_rules(name)
    assert found is not None
    return found


def followed(rules: AccountRules, start: float, *seen: tuple[str, float, float]) -> AccountState:
    """Return the state after observations of (time, equity, balance), each made twice: one alone isn't believed."""
    state = begin(rules, start, seen[0][1], at_ms(seen[0][0]))
    for when, equity, balance in seen:
        for _ in range(2):
            state = observe(state, rules, equity, at_ms(when), balance, flat=False)
    return state


def level(state: AccountState, rules: AccountRules, reason: str) -> float:
    return next(limit.level for limit in limits(state, rules) if limit.reason == reason)


def reason_of(state: AccountState, rules: AccountRules, equity: float, open_risk: float = 0.0) -> str:
    with pytest.raises(Rejected) as refused:
        allowed_risk(state, rules, equity, open_risk)
    return refused.value.reason


FTMO = preset("ftmo_2step")


def test_the_daily_limit_is_the_balance_at_midnight_in_prague_less_a_share_of_the_start() -> None:
    # academy.ftmo.com, "Maximum Daily Loss" (older edition): 200,000 at 5 %; after a day that closed 4,000 up, 14,000
    # may be lost until midnight, and 10,000 from then on.
    state = followed(FTMO, 200_000, ("2026-06-15T10:00", 200_000, 200_000), ("2026-06-15T21:59", 204_000, 204_000))
    assert 204_000 - level(state, FTMO, "daily_loss") == 14_000
    state = observe(state, FTMO, 204_000, at_ms("2026-06-15T22:00"), 204_000, flat=True)  # midnight in summer
    assert 204_000 - level(state, FTMO, "daily_loss") == 10_000
    assert state.reset_ms == at_ms("2026-06-16T22:00")


def test_a_floating_loss_carried_over_midnight_may_end_the_day_at_once() -> None:
    # The same page: balance 204,000, a floating loss of 13,000 is within the limit before midnight, beyond it after.
    state = followed(FTMO, 200_000, ("2026-06-15T10:00", 200_000, 200_000), ("2026-06-15T21:59", 191_000, 204_000))
    assert allowed_risk(state, FTMO, 191_000, 0.0) == 500.0  # half of the 1,000 that are left
    state = followed(FTMO, 200_000, ("2026-06-15T21:59", 191_000, 204_000), ("2026-06-15T22:00", 191_000, 204_000))
    assert reason_of(state, FTMO, 191_000) == "daily_loss"


def test_a_day_in_winter_begins_an_hour_later() -> None:
    assert begin(FTMO, 1.0, 1.0, at_ms("2026-01-15T10:00")).reset_ms == at_ms("2026-01-15T23:00")


def test_the_total_limit_lies_below_the_start_for_good() -> None:
    # academy.ftmo.com, "Maximum Loss": 100,000 may never be less than 90,000.
    state = followed(FTMO, 100_000, ("2026-06-15T10:00", 94_000, 94_000), ("2026-06-16T10:00", 90_000, 90_000))
    assert level(state, FTMO, "total_loss") == 90_000
    state = followed(FTMO, 100_000, ("2026-06-16T10:00", 90_000, 90_000), ("2026-06-20T10:00", 99_000, 99_000))
    assert reason_of(state, FTMO, 99_000) == "total_loss"


def test_a_trailing_limit_follows_the_highest_balance_at_a_days_end() -> None:
    # ftmo.com/au/?p=1671, 1-Step: 90,000 on day 1; after a close at 104,000, 94,000; after one at 103,000 still.
    rules = preset("ftmo_1step")
    days = [("2026-06-15T10:00", 100_000, 100_000), ("2026-06-15T21:00", 104_000, 104_000)]
    assert level(followed(rules, 100_000, *days), rules, "trailing_loss") == 90_000
    days += [("2026-06-16T10:00", 104_000, 104_000)]
    assert level(followed(rules, 100_000, *days), rules, "trailing_loss") == 94_000
    days += [("2026-06-16T21:00", 103_000, 103_000), ("2026-06-17T10:00", 103_000, 103_000)]
    assert level(followed(rules, 100_000, *days), rules, "trailing_loss") == 94_000


def test_the_higher_of_balance_and_equity_is_the_anchor_at_five_in_new_york() -> None:
    # help.the5ers.com, High Stakes: 5 % of the day's starting equity or balance, whichever is higher, at 5 PM EST.
    rules = preset("the5ers_high_stakes")
    state = followed(rules, 100_000, ("2026-06-15T20:59", 104_000, 102_000), ("2026-06-15T21:00", 104_000, 102_000))
    assert state.anchor == 104_000
    assert level(state, rules, "daily_loss") == pytest.approx(98_800)


def test_a_limit_that_was_reached_holds_until_the_reset_though_equity_recovers() -> None:
    state = followed(FTMO, 100_000, ("2026-06-15T10:00", 95_000, 95_000), ("2026-06-15T10:01", 99_000, 99_000))
    assert state.blocked == {"daily_loss": at_ms("2026-06-15T22:00")}
    with pytest.raises(Rejected, match="until 2026-06-15T22:00:00Z"):
        allowed_risk(state, FTMO, 99_000, 0.0)
    state = observe(state, FTMO, 99_000, at_ms("2026-06-15T22:00"), 99_000, flat=True)
    assert allowed_risk(state, FTMO, 99_000, 0.0) == 2_500.0


def test_one_wrong_number_neither_blocks_nor_raises_a_floor() -> None:
    rules = AccountRules(total_loss=0.1, trailing_loss=0.1)
    state = followed(rules, 100_000, ("2026-06-15T10:00", 100_000, 100_000))
    for equity in (1_000.0, 100_000.0, 1e9, 100_000.0):
        state = observe(state, rules, equity, at_ms("2026-06-15T10:01"), 100_000, flat=True)
    assert (state.blocked, state.peak_equity) == ({}, 100_000)


def test_the_first_number_alone_raises_no_floor() -> None:
    rules = AccountRules(trailing_loss=0.1, trailing_of="day_end_balance")
    state = begin(rules, 100_000, 1e9, at_ms("2026-06-15T10:00"))
    state = followed_on(state, rules, ("2026-06-15T10:01", 104_000), ("2026-06-15T10:02", 104_000))
    assert (state.blocked, state.peak_equity, state.peak_day_end) == ({}, 104_000, 100_000)


def test_a_clock_that_was_wrong_and_was_set_right_holds_up_nothing() -> None:
    state = followed(FTMO, 100_000, ("2026-06-15T10:00", 100_000, 100_000), ("2031-01-01T10:00", 100_000, 100_000))
    earlier = observe(state, FTMO, 99_000, at_ms("2031-01-01T09:00"), None, flat=True)
    assert earlier == state
    state = observe(state, FTMO, 99_000, at_ms("2026-06-15T10:01"), None, flat=True)
    assert (state.equity, state.reset_ms) == (99_000, at_ms("2026-06-15T22:00"))


def test_without_a_told_balance_it_is_the_equity_while_nothing_is_open() -> None:
    state = begin(FTMO, 100_000, 100_000, at_ms("2026-06-15T10:00"))
    state = observe(state, FTMO, 101_000, at_ms("2026-06-15T10:01"), None, flat=True)
    state = observe(state, FTMO, 97_000, at_ms("2026-06-15T10:02"), None, flat=False)
    assert state.balance == 101_000


def test_a_balance_that_nobody_told_is_no_less_than_the_equity_where_a_position_may_have_closed() -> None:
    """A client that reports no close: it took 4,000 at its first target, and the position is still open for us."""
    state = begin(FTMO, 100_000, 100_000, at_ms("2026-06-15T10:00"))
    for when in ("2026-06-15T21:59", "2026-06-15T22:00"):
        state = observe(state, FTMO, 104_000, at_ms(when), None, flat=False)
    assert level(state, FTMO, "daily_loss") == 99_000


def test_a_balance_that_was_just_told_is_the_anchor_though_the_equity_floats_above_it() -> None:
    state = followed(FTMO, 100_000, ("2026-06-15T21:59", 104_000, 100_000))
    state = observe(state, FTMO, 104_000, at_ms("2026-06-15T22:00"), None, flat=False)
    assert level(state, FTMO, "daily_loss") == 95_000


def test_near_a_limit_the_risk_shrinks_and_open_positions_count() -> None:
    rules = AccountRules(total_loss=0.1)
    state = followed(rules, 100_000, ("2026-06-15T10:00", 100_000, 100_000))
    assert [allowed_risk(state, rules, e, 0.0) for e in (100_000, 92_000, 90_002)] == [5_000.0, 1_000.0, 1.0]
    assert allowed_risk(state, rules, 92_000, 1_500.0) == 250.0
    assert reason_of(state, rules, 92_000, 2_000.0) == "total_loss"
    assert reason_of(state, rules, 90_000) == "total_loss"


def test_caps_stop_advice_at_the_profit() -> None:
    rules = AccountRules(profit_cap=0.1, daily_profit_cap=0.02)
    state = followed(rules, 100_000, ("2026-06-15T10:00", 100_000, 100_000))
    assert allowed_risk(state, rules, 101_999, 0.0) == float("inf")
    assert reason_of(state, rules, 102_000) == "daily_profit_cap"
    assert reason_of(state, rules, 110_000) == "profit_cap"


def test_a_reset_within_the_hour_that_comes_twice_is_once_a_day() -> None:
    """2026-10-25 in Prague: 02:00 to 03:00 comes at 00:00 UTC and at 01:00 UTC."""
    rules = AccountRules.model_validate({"zone": "Europe/Prague", "reset": "02:30", "daily_loss": 0.05})
    for minute in range(0, 24 * 60, 7):
        moment_ms = at_ms("2026-10-25T00:00") + minute * 60_000
        assert next_reset_ms(rules, moment_ms) > moment_ms
    state = followed(rules, 100_000, ("2026-10-24T23:00", 100_000, 100_000), ("2026-10-25T00:31", 96_000, 96_000))
    state = followed_on(state, rules, ("2026-10-25T01:10", 94_900), ("2026-10-25T01:20", 94_900))
    assert (state.anchor, sorted(state.blocked)) == (100_000, ["daily_loss"])


def followed_on(state: AccountState, rules: AccountRules, *seen: tuple[str, float]) -> AccountState:
    for when, equity in seen:
        state = observe(state, rules, equity, at_ms(when), equity, flat=True)
    return state


def test_one_wrong_number_at_the_end_of_a_day_raises_no_floor_for_good() -> None:
    rules = preset("ftmo_1step")
    state = followed(rules, 100_000, ("2026-06-15T10:00", 100_000, 100_000), ("2026-06-15T21:58", 104_000, 104_000))
    wrong = followed_on(state, rules, ("2026-06-15T21:59", 1e9), ("2026-06-15T22:00", 104_000))
    assert wrong.peak_day_end == 104_000
    wrong = followed_on(state, rules, ("2026-06-15T21:59", 1.0), ("2026-06-15T22:00", 104_000))
    assert wrong.peak_day_end == 104_000
    late = followed_on(state, rules, ("2026-06-15T21:59", 105_000), ("2026-06-15T22:00", 105_000))
    assert late.peak_day_end == 105_000


def test_of_several_copies_the_newest_holds_and_none_loosens_a_limit() -> None:
    older = followed(FTMO, 100_000, ("2026-06-15T10:00", 104_000, 104_000), ("2026-06-15T10:01", 95_000, 95_000))
    newer = followed(FTMO, 100_000, ("2026-06-15T10:02", 100_000, 100_000))
    found = joined([newer, older])
    assert (found.equity, found.peak_equity, found.blocked) == (100_000, 104_000, older.blocked)
    tomorrow = followed(FTMO, 100_000, ("2026-06-16T10:00", 100_000, 100_000))
    assert joined([older, tomorrow]).blocked == {}


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("2026-06-17T07:59", "account_session"), ("2026-06-17T08:00", ""), ("2026-06-17T11:59", ""),
        ("2026-06-17T12:00", "flat_time"), ("2026-06-17T12:30", ""), ("2026-06-17T16:00", "account_session"),
        ("2026-06-19T14:59", ""), ("2026-06-19T15:00", "weekend"), ("2026-06-21T21:59", "weekend"),
        ("2026-06-21T22:00", "account_session"),
    ],
)  # fmt: skip
def test_times_of_day_are_those_of_the_firms_zone(when: str, reason: str) -> None:
    rules = AccountRules.model_validate(
        {"zone": "Europe/Prague", "sessions": ["10:00-18:00"], "flat_times": ["14:00-14:30"], "weekend_from": "17:00"}
    )
    if not reason:
        allow_time(rules, at_ms(when))
        return
    with pytest.raises(Rejected) as refused:
        allow_time(rules, at_ms(when))
    assert refused.value.reason == reason


def test_a_window_may_pass_midnight() -> None:
    rules = AccountRules.model_validate({"flat_times": ["23:00-01:00"]})
    for when in ("2026-06-17T23:00", "2026-06-18T00:59"):
        with pytest.raises(Rejected):
            allow_time(rules, at_ms(when))
    allow_time(rules, at_ms("2026-06-18T01:00"))


def test_no_more_positions_than_allowed() -> None:
    rules = AccountRules(max_positions=2)
    allow_another(rules, 1)
    with pytest.raises(Rejected, match="max_positions"):
        allow_another(rules, 2)


def test_a_file_overrides_a_preset_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('preset = "ftmo_2step"\ndaily_loss = 0.04\nmax_positions = 2\n')
    assert load_rules(str(file)) == FTMO.model_copy(update={"daily_loss": 0.04, "max_positions": 2})
    assert load_rules("none") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [("preset = 'x'", "ftmo_2step"), ("daily_los = 1", "daily_los"), ("daily_loss = 5", "daily_loss"),
     ("zone = 'Mars'", "zone"), ("[", "rules.toml"), ("sessions = ['10-1-2']", "sessions"),
     ("reset = 17", "reset"), ("weekend_from = '21:00+02:00'", "weekend_from"),
     ("flat_times = [[14, 15]]", "flat_times"), ("flat_times = ['14:25Z-14:35Z']", "flat_times"),
     ("sessions = ['09:00-09:00']", "sessions")],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_place(tmp_path: Path, content: str, expected: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(content)
    with pytest.raises(Fatal, match=rf"(?s)ACCOUNT_RULES.*{expected}"):
        load_rules(str(file))


def test_a_time_of_day_may_be_written_as_toml_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("reset = 17:00:00\nsessions = [[08:00:00, 12:00:00]]\n")
    found = load_rules(str(file))
    assert found is not None
    assert (found.reset, found.sessions) == (time(17), ((time(8), time(12)),))


def test_every_preset_names_its_source_and_date() -> None:
    for name in ("ftmo_2step", "ftmo_1step", "the5ers_high_stakes"):
        rules = preset(name)
        assert rules.source.startswith("https://")
        assert datetime.fromisoformat(rules.read_on).year >= 2026
