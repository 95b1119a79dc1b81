"""Beyond the bars that are still open: a lane's indicators as if some of them had closed."""

from collections.abc import Sequence

from common.indicators import Cells, RunningSet


class Ahead:
    """The indicators as if open bars had closed: what stands beyond them can be looked at without a copy each time."""

    def __init__(self, running: RunningSet, session_ms: int) -> None:
        self._running, self._session_ms = running, float(session_ms)
        self._rows: list[Cells] = []
        self._next_session: RunningSet | None = None
        """The same with a session begun after the last of those bars; None: nobody asked yet."""

    def reach(self, rows: Sequence[Cells]) -> bool:
        """Go on to these bars; False if that can't be done, since it has taken others in already."""
        if self._rows != rows[: len(self._rows)]:
            return False
        for row in rows[len(self._rows) :]:
            self._enter(row)
            self._running.update(row)
            self._rows.append(row)
        return True

    def follow(self, closed: Cells) -> bool:
        """Take note that a bar has closed in truth; False if it is not the one that was taken in."""
        if not self._rows or self._rows[0] != closed:
            return False
        del self._rows[0]
        return True

    def peek(self, row: Cells) -> list[float]:
        """Return the values as if this bar closed next."""
        if not self._begins(row):
            return self._running.peek(row)
        if self._next_session is None:
            self._next_session = self._running.copy()
            self._next_session.begin_session()
        return self._next_session.peek(row)

    def _enter(self, row: Cells) -> None:
        self._next_session = None
        if self._begins(row):
            self._running.begin_session()
        self._session_ms = row[-1]

    def _begins(self, row: Cells) -> bool:
        """Tell whether a session begins with this bar. Without a bar before it only its time can tell."""
        return row[-1] != self._session_ms and (self._session_ms > 0 or row[-2] <= row[-1])
