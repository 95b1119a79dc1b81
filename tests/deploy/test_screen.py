"""What a person sees."""

from common.messages import Signal
from deploy.screen import View, duration, picture, signal_line, unready, waiting

HEALTHY = {name: {"status": "healthy"} for name in ("redis", "database", "collector", "validator", "features", "api")}


def test_everything_well_fits_in_a_few_lines() -> None:
    view = View(
        health={
            "status": "healthy", "simulated": True, "components": {**HEALTHY, "storer": {"status": "healthy"}},
            "performance": {"data_points_collected": 1234, "features_computed": 9, "signals_generated": None},
        },
        symbols=[
            {"symbol": "EURUSD", "digits": 5, "data_age_ms": 400, "status": {"source": "yahoo", "detail": ""}},
            {"symbol": "US30", "digits": 2, "data_age_ms": None, "status": {"detail": "no source, withheld"}},
            {"symbol": "XAUUSD", "digits": 2, "data_age_ms": 90_061_000, "session_open": False,
             "next_open": "2026-11-22T23:00:00.000Z"},
        ],
        prices={"EURUSD": 1.1, "XAUUSD": 2700.5},
    )  # fmt: skip
    assert picture(view) == [
        "healthy    redis database collector validator features storer api  (simulated)",
        "  1,234 quotes, 9 indicator sets",
        "  EURUSD        1.10000  0.4 s old    yahoo",
        "  US30                -  never seen                no source, withheld",
        "  XAUUSD        2700.50  25 h old                  closed until 2026-11-22 23:00 UTC",
    ]


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    counts = {"data_points_collected": 1, "features_computed": 1, "signals_generated": 1.0}
    assert "  1 quote, 1 indicator set, 1 signal" in picture(View(health={"performance": counts}))


def test_what_is_not_well_gets_a_line_with_its_reason() -> None:
    ill = {"storer": {"status": "unhealthy", "message": "no heartbeat for 7 s"}}
    assert picture(View(health={"status": "unhealthy", "components": {**HEALTHY, **ill}})) == [
        "unhealthy  redis database collector validator features api",
        "  unhealthy storer        no heartbeat for 7 s",
    ]


def test_what_ails_the_data_is_said_where_every_process_works() -> None:
    silent = {"data_pipeline": {"status": "degraded", "message": "open and silent: US30"}}
    sources = {"yahoo": {"is_healthy": False, "last_error": "outage: timed out"}, "polygon": {"is_healthy": None}}
    health = {"status": "degraded", "components": {**HEALTHY, **silent}, "data_sources": sources}
    assert picture(View(health=health))[-2:] == [
        "  degraded  data          open and silent: US30",
        "  failing   yahoo         outage: timed out",
    ]


def test_no_answer_is_not_shown_as_well() -> None:
    shown = picture(View())
    assert shown[0] == "the api does not answer"
    assert shown[1:] == [
        f"  unknown   {n}" for n in ("redis", "database", "collector", "validator", "features", "storer", "api")
    ]


def test_ready_means_that_every_stage_works() -> None:
    stages = ("collector", "storer")
    working = {"collector": {"status": "degraded"}, "storer": {"status": "healthy"}}
    assert unready(View(health={"components": working}), stages) == {}
    assert unready(View(health={"components": {"collector": {"status": "healthy"}}}), stages) == {
        "storer": "nothing heard of it yet"
    }
    before_the_first_cycle = {**working, "data_pipeline": {"clock_age_seconds": None}}
    assert unready(View(health={"components": before_the_first_cycle}), stages) == {
        "collector": "its first cycle has not ended yet"
    }
    assert waiting(unready(View(), stages)) == "collector, storer (the api does not answer yet)"


def test_a_signal_is_one_line() -> None:
    signal = Signal(
        id="x", symbol="EURUSD", timeframe="5m", strategy="trend_v1", bar_open_ms=0, action="BUY", entry=1.1,
        stop_loss=1.095, take_profit_1=1.11, take_profit_2=1.12, confidence=0.7, quality=7.0, regime="trend",
        reasons=("cross", "volume", "more"),
        published_ms=1_700_000_000_000, expires_ms=1_700_000_003_000, data_age_ms=100,
        atr=0.001, source="yahoo", source_class="fx_spot",
    )  # fmt: skip
    assert signal_line(signal) == (
        "2023-11-14 22:13:20  BUY  EURUSD  5m  entry 1.1, stop 1.095, target 1.11: cross; volume"
    )


def test_durations_use_the_unit_that_suits_them() -> None:
    shown = [duration(s) for s in (0.44, 9.94, 59.6, 119.4, 150, 7_000, 10_000, 200_000)]
    assert shown == ["0.4 s", "9.9 s", "60 s", "119 s", "2 min", "117 min", "3 h", "2 d"]
