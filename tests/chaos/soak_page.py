"""The verdict on a soak, and its figures as text and as a part of docs/faults.md."""

from math import ceil, isnan

from tests.chaos import page
from tests.chaos.soak_plan import KILLED_UNTIL
from tests.chaos.soak_samples import MEGABYTE, TENTHS, Soak

HEADING = "## A long run\n"
MORE_SHARE, MORE_MB, MORE_FDS = 0.10, 8.0, 4
"""How much more memory (share and megabytes together) and how many more file descriptors are flat all the same."""
LOG_MB, ENTRIES, PENDING = 8.0, 40_000, 4_000
"""What SQLite's log, all streams and all pending lists may come to at any time. Streams keep 10,000 entries each."""
GROWS = ("database, MB", "simulator, MB")
"""What grows by design: the history, and the simulator's ledger of all calls."""
UNDISTURBED = ceil(TENTHS * KILLED_UNTIL)
"""The first tenth without kills."""


def not_flat(soak: Soak) -> list[str]:
    """Return what has grown from the first to the last tenth, or since the last kill, or was lost."""
    found = [f"lost cycles: {soak.lost_cycles}"] if soak.lost_cycles else []
    found += [f"dead letters: {soak.dead_letters}"] if soak.dead_letters else []
    for name, row in soak.table.items():
        if name not in GROWS:
            limits = [_limit(name, row[tenth]) for tenth in (0, UNDISTURBED) if not isnan(row[tenth])]
            found += [f"{name}: {row[-1]:.1f}, expected at most {limit:.1f}" for limit in limits if row[-1] > limit]
    return found


def _limit(name: str, before: float) -> float:
    fixed = {"database log, MB": LOG_MB, "entries in streams": ENTRIES, "pending entries": PENDING}
    if name in fixed:
        return fixed[name]
    return before * (1 + MORE_SHARE) + (MORE_MB if name.endswith("MB") else MORE_FDS)


def lines(soak: Soak) -> list[str]:
    """Return the text for a terminal."""
    heads = "".join(f"{tenth:>8}" for tenth in range(1, TENTHS + 1))
    rows = [f"{name:<20}" + "".join(f"{value:>8.0f}" for value in row) for name, row in soak.table.items()]
    return [_words(soak), f"{'median of each tenth':<20}{heads}", *rows, *(not_flat(soak) or ["flat"])]


def _words(soak: Soak) -> str:
    return (
        f"{soak.cycles:,} cycles in {soak.took_s:.0f} s ({soak.cycles / soak.took_s:.0f} a second),"
        f" {soak.faults} faults of vendors, {soak.kills} kills, {soak.quotes:,} quotes stored,"
        f" {soak.lost_cycles} cycles lost"
    )


def write(soak: Soak) -> None:
    """Put the figures into the page, between their heading and the matrix."""
    text = page.PAGE.read_text()
    before, _, after = text.partition(page.HEADING)
    page.PAGE.write_text(f"{before.partition(HEADING)[0]}{HEADING}\n{_section(soak)}\n{page.HEADING}{after}")


def _section(soak: Soak) -> str:
    table = [f"| {name} | " + " | ".join(f"{value:,.0f}" for value in row) + " |" for name, row in soak.table.items()]
    head = ["| median of each tenth | " + " | ".join(map(str, range(1, TENTHS + 1))) + " |", "|---|" + "--:|" * TENTHS]
    return "\n".join([_INTRODUCTION, _words(soak) + ".", "", *head, *table, ""])


_INTRODUCTION = f"""\
`make soak` plays a simulated day at high speed: 86,400 cycles, six symbols, prices pushed and polled, a vendor's fault
every quarter of an hour, each stage killed three times in the first half of the day, and a client that asks the api all
the while. It begins when the vendors' history has been loaded. `make soak CYCLES=20000` plays a part.
Memory is resident memory, in megabytes of {MEGABYTE:,} bytes.

Flat means that nothing has grown from the first tenth to the last, nor from the first one without kills to the last, by
more than {MORE_SHARE:.0%} and {MORE_MB:.0f} MB of memory or {MORE_FDS} file descriptors; that SQLite's log stays below
{LOG_MB:.0f} MB, and that there are fewer than {PENDING:,} pending entries and {ENTRIES:,} in all streams. The history
grows, and so may the simulator, which keeps a ledger of all calls.
"""
