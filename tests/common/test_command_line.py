"""What an operator wrote that can't be meant is named as the operator wrote it."""

from collections.abc import Callable

import pytest

from common.command_line import decimal, one_of, which_installation, whole, words_of
from common.errors import Fatal


@pytest.mark.parametrize(
    ("read", "word", "complaint"),
    [
        (whole("SEED", 7), "x", "SEED: expected a whole number such as 7, found 'x'"),
        (whole("N", 4), "", "N: expected a whole number such as 4, found ''"),
        (decimal("SPEED", 60), "fast", "SPEED: expected a number such as 60, found 'fast'"),
        (decimal("SPEED", 60), "nan", "SPEED: expected a number such as 60, found 'nan'"),
        (one_of("LIMITS", ("none", "real")), "all", "LIMITS: expected one of none, real, found 'all'"),
        (which_installation, "2", "DEMO: expected 1 for the demo or 0 for live, found '2'"),
        (words_of, "XRANGE 'a", 'CMD: expected every quote closed, found "XRANGE \'a"'),
    ],
)
def test_a_word_that_fits_nothing_is_named(read: Callable[[str], object], word: str, complaint: str) -> None:
    with pytest.raises(Fatal) as refused:
        read(word)
    assert str(refused.value) == complaint


def test_words_that_fit_are_read() -> None:
    assert (whole("N", 4)("12"), decimal("SPEED", 60)("0.5"), one_of("A", ("b",))("b")) == (12, 0.5, "b")
    assert [which_installation(word) for word in ("1", "0", "")] == [True, False, None]
    assert words_of("HSET x a '1 * 2'") == ["HSET", "x", "a", "1 * 2"]
