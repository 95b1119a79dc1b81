"""The gap ledger in SQLite: finds bars that did not come, asks for them, and notes what became of them."""

from collections.abc import Sequence

import structlog

from common.messages import BackfillRequest, Bar, HistoryBars
from storer.backfill import Lane
from storer.finer import from_finer
from storer.gap_rows import Check, GapRows
from storer.gaps import (
    AT_ONCE,
    FINER,
    NOBODY_HAS_IT,
    NOTHING,
    OWN,
    PAUSE_SMALL_MS,
    SMALL_BARS,
    WAITS_MS,
    Answered,
    Gap,
    Slot,
    Watched,
    as_gaps,
    asked_span,
    found_now,
    is_due,
    lacking,
    repair_request,
    slot_after,
    together,
    tried,
)
from storer.slots import slots_of
from storer.watch import Feed

log = structlog.get_logger()

Span = tuple[int, int]
"""[from_ms, to_ms)."""


class Ledger:
    """The gaps of some lanes. The caller's transaction is open around every call."""

    def __init__(self, rows: GapRows, lateness_ms: int) -> None:
        """lateness_ms: how long after a bar's end its last quotes may come, beside the class's delay."""
        self._rows, self._lateness_ms = rows, lateness_ms
        self._found: dict[Lane, list[Span]] = {}
        """Gaps found in this look."""
        self._closed: dict[Feed, list[Span]] = {}
        """Gaps of the shortest bars that were closed in this look."""
        self._proven: dict[Feed, list[Span]] = {}
        """Stretches of holes that were proven in this look."""

    # -- finding -----------------------------------------------------------------------------------

    def look(self, watched: Watched, now_ms: int) -> None:
        """Note the bars that should have come since the last look and did not. The first look only marks the place."""
        lane = watched.lane
        closed_ms = self._closed_ms(watched, now_ms)
        check = self._rows.check(lane)
        if check is None:
            self._rows.set_check(lane, Check(closed_ms, closed_ms))
            return
        if closed_ms <= check.checked_ms:
            return
        slots = list(slots_of(self._rows, watched, check.checked_ms, closed_ms, now_ms))
        self._note(watched, [slot for slot, _ in slots], now_ms)
        waiting_ms = min((slot.open_ms for slot, on_its_way in slots if on_its_way), default=closed_ms)
        self._rows.set_check(lane, check._replace(checked_ms=max(check.checked_ms, waiting_ms)))

    def _closed_ms(self, watched: Watched, now_ms: int) -> int:
        """Return the time before which all bars that open are closed."""
        bar_ms = watched.lane.bar_ms
        return (now_ms - watched.delay_ms - self._lateness_ms) // bar_ms * bar_ms

    def returned(self, watched: Watched, now_ms: int) -> None:
        """Have what went missing up to the last look asked for at once: the class's quotes come again."""
        check, newest = self._rows.check(watched.lane), self.missing(watched.lane)[-1:]
        if newest and check is not None and not any(watched.expected(newest[0].to_ms, check.checked_ms)):
            self._rows.keep(watched.lane, newest[0]._replace(attempts=0, next_attempt_ms=now_ms))

    def doubt(self, watched: Watched, now_ms: int) -> None:
        """Note the bars that a hole touches, which was proven just now, as built from part of their quotes."""
        lane, margin_ms = watched.lane, watched.finest_ms
        check = self._rows.check(lane)
        for first_ms, end_ms in self._proven.get((lane.symbol, lane.source_class), ()) if check else ():
            assert check is not None
            from_ms = max(check.begun_ms, (first_ms - margin_ms) // lane.bar_ms * lane.bar_ms)
            to_ms = min(check.checked_ms, end_ms + margin_ms)
            self._take_apart(watched, from_ms, to_ms, now_ms)
            slots = [slot for slot, _ in slots_of(self._rows, watched, from_ms, to_ms, now_ms)]
            parts = [slot if slot.partial else slot._replace(state="elsewhere") for slot in slots]
            self._keep_found(lane, as_gaps(parts, lane.bar_ms, found_now(now_ms), now_ms))

    def _take_apart(self, watched: Watched, from_ms: int, to_ms: int, now_ms: int) -> None:
        """Call bars that were put together from shorter ones partial again: one of those was, as is known only now."""
        lane = watched.lane
        for gap in self._rows.put_together(lane, from_ms, to_ms):
            opens = watched.expected(gap.from_ms, gap.to_ms)
            slots = [
                lacking(at, watched, now_ms, partial=True)
                if from_ms <= at < to_ms
                else Slot(at, "repaired", gap.partial, FINER)
                for at in opens
            ]
            self._rows.forget(lane, gap)
            self._rows.take_back(lane, max(from_ms, gap.from_ms), min(to_ms, gap.to_ms))
            self._keep_found(lane, as_gaps(slots, lane.bar_ms, gap._replace(next_attempt_ms=now_ms), now_ms))

    def _note(self, watched: Watched, slots: Sequence[Slot], now_ms: int) -> None:
        lane = watched.lane
        gaps = as_gaps(slots, lane.bar_ms, found_now(now_ms), now_ms)
        before = self._going_on(watched, slots)
        more = gaps[0] if before is not None and gaps else None
        if before is not None and more is not None and self._continues(watched, before, more):
            self._rows.keep(lane, before._replace(to_ms=more.to_ms, bars=before.bars + more.bars))
            self._found.setdefault(lane, []).append((more.from_ms, more.to_ms))
            del gaps[0]
        self._keep_found(lane, gaps)

    def _keep_found(self, lane: Lane, gaps: Sequence[Gap]) -> None:
        for gap in gaps:
            self._rows.keep(lane, gap)
            if gap.state == "repaired":
                continue
            self._found.setdefault(lane, []).append((gap.from_ms, gap.to_ms))
            log.warning(
                "gap.found", lane=lane.name, from_ms=gap.from_ms, to_ms=gap.to_ms, bars=gap.bars, state=gap.state,
                detail=gap.detail,
            )  # fmt: skip

    def _continues(self, watched: Watched, before: Gap, more: Gap) -> bool:
        same = more.state == "missing" and not more.partial and more.from_ms >= before.to_ms
        return same and not any(watched.expected(before.to_ms, more.from_ms))

    def _going_on(self, watched: Watched, slots: Sequence[Slot]) -> Gap | None:
        """Return the gap that reached up to these bars, if there is one."""
        newest = [gap for gap in self.missing(watched.lane) if not gap.partial][-1:]
        after = [slot for slot in slots if newest and slot.open_ms >= newest[0].to_ms]
        if after and not any(watched.expected(newest[0].to_ms, after[0].open_ms)):
            return newest[0]
        return None

    # -- asking ------------------------------------------------------------------------------------

    def due(self, watched: Watched, now_ms: int) -> list[BackfillRequest]:
        """Return what to ask the vendors now for this lane, counted as an attempt."""
        lane = watched.lane
        due = [gap for gap in self.missing(lane) if is_due(gap, now_ms)]
        for gap in due:
            self._resolve(watched, gap, now_ms)  # bars may have come by themselves
        due = [gap for gap in self.missing(lane) if is_due(gap, now_ms)] if due else []
        due = [gap for gap in due if not self._put_off(watched, gap, now_ms)]
        check = self._rows.check(lane) or Check(0, 0)
        if not due or self._too_soon(lane, check, due, now_ms):
            return []
        groups = together(due, lane.bar_ms)[-AT_ONCE:]
        for gap in (gap for group in groups for gap in group):
            self._rows.keep(lane, tried(gap, now_ms))
        self._rows.set_check(lane, check._replace(asked_ms=now_ms))
        closed_ms = self._closed_ms(watched, now_ms)
        requests = [repair_request(watched, group, now_ms, closed_ms) for group in groups]
        return [request for request in requests if request is not None]

    def _put_off(self, watched: Watched, gap: Gap, now_ms: int) -> bool:
        """Have a gap wait while its bars can still be put together from shorter ones that are being repaired."""
        if watched.is_finest:
            return False
        finest = Lane(watched.lane.symbol, watched.lane.source_class, watched.finest)
        below = [g for g in self.missing(finest) if g.from_ms < gap.to_ms and g.to_ms > gap.from_ms]
        if not below:
            return False
        next_ms = min((g.next_attempt_ms for g in below if g.next_attempt_ms is not None), default=now_ms)
        self._rows.keep(watched.lane, gap._replace(next_attempt_ms=max(next_ms, now_ms + WAITS_MS[0])))
        return True

    def _too_soon(self, lane: Lane, check: Check, due: Sequence[Gap], now_ms: int) -> bool:
        """Have a few bars wait where the lane was asked for lately."""
        until_ms = check.asked_ms + PAUSE_SMALL_MS
        first_time = [gap for gap in due if not gap.attempts]
        if until_ms <= now_ms or len(first_time) < len(due) or sum(gap.bars for gap in due) >= SMALL_BARS:
            return False
        for gap in due:
            self._rows.keep(lane, gap._replace(next_attempt_ms=until_ms))
        return True

    # -- closing -----------------------------------------------------------------------------------

    def settle(self, watched: Watched, answer: HistoryBars, after_ms: int | None, now_ms: int) -> list[Bar]:
        """Note what a vendor's history, already stored, says of the lane's gaps.

        after_ms: open time of the last bar in the piece of the same answer before this one. Returns the bars that took
        the place of ones built from part of their quotes.
        """
        answered = [after_ms] if after_ms is not None else []
        answered += sorted(bar.open_ms for bar in answer.bars)
        if not answered:
            self._refused(watched, answer, now_ms)
            return []
        window = (answered[0], answered[-1] + watched.lane.bar_ms)
        touched = [g for g in self.missing(watched.lane) if g.from_ms < window[1] and g.to_ms > window[0]]
        replaced: list[Bar] = []
        for gap in touched:
            if gap.partial:
                replaced += [bar for bar in answer.bars if gap.from_ms <= bar.open_ms < gap.to_ms]
        self._rows.replace_bars(replaced, "vendor")
        for gap in touched:
            self._resolve(watched, gap, now_ms, Answered(answered, answer.source), window)
        if answer.final:
            self._refused(watched, answer, now_ms)
        return replaced

    def compose(self, watched: Watched, now_ms: int) -> list[Bar]:
        """Put missing bars together from the shorter ones of the same class, where something has changed just now.

        Returns the bars, which are stored already.
        """
        lane = watched.lane
        spans = [*self._found.get(lane, ()), *self._closed.get((lane.symbol, lane.source_class), ())]
        if watched.is_finest or not spans:
            return []
        return [bar for gap in self.missing(lane) for bar in self._compose(watched, gap, spans, now_ms)]

    def _compose(self, watched: Watched, gap: Gap, spans: Sequence[Span], now_ms: int) -> list[Bar]:
        near = [(max(first, gap.from_ms), min(end, gap.to_ms)) for first, end in spans]
        near = [(first - first % watched.lane.bar_ms, end) for first, end in near if first < end]
        if not near:
            return []
        window = (min(first for first, _ in near), max(end for _, end in near))
        bars, silent = from_finer(self._rows, watched, *window)
        self._rows.replace_bars(bars, "built")
        if bars or silent:
            self._resolve(watched, gap, now_ms, Answered((), FINER, silent), window)
        return bars

    def missing(self, lane: Lane) -> list[Gap]:
        """Return the lane's gaps that may still be filled, oldest first."""
        return self._rows.missing(lane)

    def _refused(self, watched: Watched, answer: HistoryBars, now_ms: int) -> None:
        """Note on what an answer left open why it did, and until when it is of no use to ask again."""
        from_ms, to_ms = asked_span(answer.request_id) if answer.repair else (0, 0)
        retry_ms = answer.retry_ms
        for gap in self.missing(watched.lane):
            if not (gap.from_ms < to_ms and gap.to_ms > from_ms) or gap.next_attempt_ms is None:
                continue
            if retry_ms is None and gap.attempts >= len(WAITS_MS):
                self._close(watched.lane, gap, now_ms, f"{NOBODY_HAS_IT}: {answer.detail}")
                continue
            next_ms = gap.next_attempt_ms if retry_ms is None else max(gap.next_attempt_ms, retry_ms)
            detail = answer.detail or gap.detail
            if (next_ms, detail) != (gap.next_attempt_ms, gap.detail):
                self._rows.keep(watched.lane, gap._replace(next_attempt_ms=next_ms, detail=detail))

    def _close(self, lane: Lane, gap: Gap, now_ms: int, why: str) -> None:
        closed = gap._replace(state="unrepairable", next_attempt_ms=None, closed_ms=now_ms, detail=why)
        self._rows.keep(lane, closed)
        log.warning("gap.closed", lane=lane.name, from_ms=gap.from_ms, to_ms=gap.to_ms, state="unrepairable", why=why)

    def _resolve(
        self, watched: Watched, gap: Gap, now_ms: int, answered: Answered = NOTHING, window: Span | None = None
    ) -> None:
        """Put what is known now in the place of a gap: nothing changed, closed, or split. window: where to look."""
        lane = watched.lane
        from_ms, to_ms = window or (gap.from_ms, gap.to_ms)
        held = self._rows.held(lane, max(from_ms, gap.from_ms), min(to_ms, gap.to_ms))
        slots = [
            (slot_after(at, gap, held, answered) if from_ms <= at < to_ms else None)
            or lacking(at, watched, now_ms, partial=gap.partial)
            for at in watched.expected(gap.from_ms, gap.to_ms)
        ]
        parts = as_gaps(slots, lane.bar_ms, gap, now_ms)
        if all(part.state == "missing" for part in parts):
            return
        self._rows.forget(lane, gap)
        for part in parts:
            self._rows.keep(lane, part)
            if part.state != "missing":
                if watched.is_finest:
                    self._closed.setdefault((lane.symbol, lane.source_class), []).append((part.from_ms, part.to_ms))
                log.info(
                    "gap.closed", lane=lane.name, from_ms=part.from_ms, to_ms=part.to_ms, bars=part.bars,
                    state=part.state, source=part.source, seconds=(now_ms - part.found_ms) / 1000,
                )  # fmt: skip
        if watched.is_finest and not gap.partial:
            self._prove(watched, parts)

    def _prove(self, watched: Watched, parts: Sequence[Gap]) -> None:
        """Remember holes: a vendor had bars where we had no quotes, so we missed some, in the bars around too."""
        proven = [part for part in parts if part.state == "repaired" and part.source != OWN]
        if proven:
            lane, spans = watched.lane, [(proven[0].from_ms, proven[-1].to_ms)]
            for first_ms, end_ms in self._rows.holes(lane, *spans[0]):  # with the silence around it
                spans += [(first_ms, first_ms), (end_ms, end_ms)]
            self._proven.setdefault((lane.symbol, lane.source_class), []).extend(spans)
