"""What the other sources of an instrument say of one quote: nothing, that it disagrees, or that it is outvoted."""

from collections.abc import Sequence
from typing import NamedTuple

from validator.compare import Difference
from validator.moves import Mark

CHECK = " (check)"
# A bar of such quotes is below what a signal may rest on, and its quotes are above what is quarantined by default.
DISAGREES = 0.35
OUTVOTED = 1.0
# With fewer there is no middle.
VOTERS = 3


class View(NamedTuple):
    """One other way beside the quote."""

    way: str
    now: Difference
    """Of the quote from the other's price nearest in time."""
    then: Difference
    """Of both at the newest market time that both have reached."""

    @property
    def agrees(self) -> bool:
        """Whether either says so: a move that the other has not seen yet is no disagreement."""
        return self.now.agrees or self.then.agrees

    @property
    def best(self) -> Difference:
        """The one of both that is nearer to agreement."""
        return min((self.now, self.then), key=lambda found: abs(found.size) / found.limit)


class Opinion(NamedTuple):
    """What the others say."""

    mark: Mark | None = None
    supported: bool = False
    """Most of three or more sources show this price now, whatever the series' last one is."""


NO_OPINION = Opinion()


def way_of(source: str, check: bool) -> str:
    """Return the name of a source's way into a series: asked as a check, it is another than the one that feeds it."""
    return source + CHECK if check else source


def opinion_of(own_way: str, views: Sequence[View], tick_size: float) -> Opinion:
    """Return what the others say. A vendor has one vote, however many ways its prices come."""
    if not views:
        return NO_OPINION
    rivals = _one_a_vendor(own_way, views)
    voters = 1 + len(rivals)
    against = [view for view in rivals if not view.agrees]
    above = sum(view.best.size > 0 for view in against)
    if voters >= VOTERS and 2 * max(above, len(against) - above) > voters:
        return Opinion(Mark("outvoted", OUTVOTED, _detail(own_way, against, tick_size)))
    if voters >= VOTERS and 2 * (voters - len(against)) > voters:
        return Opinion(supported=2 * (1 + sum(view.now.agrees for view in rivals)) > voters)
    doubts = [view for view in views if not view.agrees]
    return Opinion(Mark("disagrees", DISAGREES, _detail(own_way, doubts, tick_size))) if doubts else NO_OPINION


def _one_a_vendor(own_way: str, views: Sequence[View]) -> list[View]:
    """Return the newest view of each other vendor."""
    newest: dict[str, View] = {}
    for view in views:
        vendor = view.way.removesuffix(CHECK)
        known = newest.get(vendor)
        if known is None or view.now.other.market_ms > known.now.other.market_ms:
            newest[vendor] = view
    newest.pop(own_way.removesuffix(CHECK), None)
    return list(newest.values())


def _detail(own_way: str, doubts: Sequence[View], tick_size: float) -> str:
    said = []
    for view in doubts:
        found = view.best
        ticks = (found.own.price - found.other.price) / tick_size
        said.append(
            f"{view.way} {found.other.price:.10g} by {found.size * 10_000:+.1f} bp ({ticks:+.0f} ticks), allowed"
            f" {found.limit * 10_000:.1f} bp"
        )
    return f"{own_way} {doubts[0].best.own.price:.10g} differs from {'; from '.join(said)}"
