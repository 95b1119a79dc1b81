"""The figures of trades, against a hand-worked list."""

from common.performance import Trade, performance_of


def trade(at_ms: int, pnl: float | None, won: bool | None = None) -> Trade:
    return Trade(str(at_ms), "m", "X", at_ms, at_ms + 1, won if pnl is None else pnl > 0, pnl)


def test_a_short_list_by_hand() -> None:
    # +100, -50, +25, -25: net 50, a quarter of it each; 125 won over 75 lost; the sums 100, 50, 75, 50 fall by 50.
    listed = [trade(4, -25.0), trade(1, 100.0), trade(3, 25.0), trade(2, -50.0), Trade("5", "m", "X", 5)]
    found = performance_of(listed)
    assert (found.trades, found.open, found.wins, found.losses, found.unknown) == (5, 1, 2, 2, 0)
    assert (found.hit_rate, found.net, found.expectancy) == (0.5, 50.0, 12.5)
    assert (found.profit_factor, found.max_drawdown) == (125 / 75, 50.0)


def test_a_loss_at_the_beginning_is_a_drawdown_from_nothing() -> None:
    assert performance_of([trade(1, -10.0), trade(2, 4.0), trade(3, -5.0)]).max_drawdown == 11.0


def test_what_nobody_knows_is_none() -> None:
    empty = performance_of([])
    assert (empty.hit_rate, empty.net, empty.expectancy, empty.profit_factor, empty.max_drawdown) == (None,) * 5
    found = performance_of([trade(1, None, won=True), trade(2, None)])
    assert (found.hit_rate, found.unknown, found.net, found.expectancy) == (1.0, 1, None, None)
    assert performance_of([trade(1, 5.0)]).profit_factor is None


def test_a_trade_that_ended_where_it_began_is_known_and_neither_won_nor_lost() -> None:
    found = performance_of([Trade("1", "m", "X", 1, 2, None, 0.0), trade(3, 5.0)])
    assert (found.wins, found.losses, found.unknown, found.hit_rate, found.expectancy) == (1, 0, 0, 1.0, 2.5)
