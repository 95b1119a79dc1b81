"""The table of the benches."""

from bench.row import Row, table


def test_measured_in_turn_the_ratio_is_the_median_of_the_rounds() -> None:
    """The second round met something else on the machine, in both."""
    ours, peer = [1.0, 9.0, 3.0], [2.0, 18.0, 2.0]

    assert Row("a", "us", ours, "b", peer, by_round=True).ratio == 0.5
    assert Row("a", "us", ours, "b", peer).ratio == 1.5


def test_a_table_has_the_columns_that_a_row_fills() -> None:
    rows = [Row("short", "us", [1.0], "slow", [64.0], note="of 3"), Row("a longer one", "ms", [3.0], "quick", [2.0])]

    assert table(rows).splitlines() == [
        "what          ours  peer   ours/peer  peer is  note",
        "short         1 us  64 us  1/64       slow     of 3",
        "a longer one  3 ms  2 ms   1.50       quick",
    ]
