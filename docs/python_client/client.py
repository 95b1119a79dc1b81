"""A paper trader over the api: polls signals, fills them on paper, reports everything. It needs httpx and nothing else.

    python docs/python_client/client.py --url http://127.0.0.1:8010 --equity 10000

README.md beside this file says what a client of your own should take from it.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx

OWN = "paper-"  # how the numbers of its trades begin
HEARTBEAT_EVERY_S, TERMS_EVERY_S = 5.0, 60.0
TRADE_KEYS = ("trade_id", "instrument", "action", "lots", "entry_price", "stop_loss", "take_profit")
OLDEST_PRICE_MS = 30_000
NEVER_RIGHT = (400, 413, 422)  # sent again it would be wrong again
LAST_TRIES = 5

Body = dict[str, object]


@dataclass(frozen=True)
class Signal:
    """One advice, as the api serves it. `symbol` is the broker's name, `instrument` the generic one."""

    id: str
    symbol: str
    instrument: str
    action: str
    q_star: float
    entry: float
    stop_loss: float
    take_profit_1: float
    lots: float
    alpha_id: str
    regime: str
    expires_in_ms: int

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Signal":
        """Return the signal; KeyError if a key is missing. Keys that are not known here are left alone."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Terms:
    """The broker's terms for one symbol."""

    contract_size: float
    lot_min: float
    lot_step: float
    lot_max: float
    quote_currency: str


@dataclass(frozen=True)
class Trade:
    """One open position on paper."""

    trade_id: str
    instrument: str
    action: str
    lots: float
    entry: float
    stop: float
    target: float

    @property
    def up(self) -> int:
        return 1 if self.action == "BUY" else -1

    def end(self, price: float) -> tuple[str, float] | None:
        """Return why and at which price it ends at this market; None if it goes on."""
        if (price - self.stop) * self.up <= 0:
            return "SL", self.stop
        if (price - self.target) * self.up >= 0:
            return "TP1", self.target
        return None


def trade_id_of(signal: Signal) -> str:
    """Return the number of the trade on a signal: always the same, so that whatever is reported twice counts once."""
    return OWN + hashlib.sha256(signal.id.encode()).hexdigest()[:24]


def refusal(signal: Signal, passed_ms: float, terms: Terms | None, price: float | None) -> str:
    """Return why a signal is not traded; empty if it is. Nothing is corrected: what is wrong is refused.

    passed_ms: since before the question was sent. price: the market's; None if it is not known.
    """
    up = {"BUY": 1, "SELL": -1}.get(signal.action, 0)
    if not up:
        return f"unknown action {signal.action}"
    if signal.expires_in_ms <= passed_ms:
        return "expired"
    if terms is None or price is None:
        return "terms or price not known"
    # As they are written: 0.3 is three steps of 0.1, in binary fractions it is not.
    off_step = Decimal(str(signal.lots)) % Decimal(str(terms.lot_step))
    if off_step or not terms.lot_min <= signal.lots <= terms.lot_max:
        return f"{signal.lots} lots are not the broker's"
    if (price - signal.stop_loss) * up <= 0 or (signal.take_profit_1 - price) * up <= 0:
        return f"market {price} is not between stop and target"
    return ""


class Api:
    """The server. Whatever keeps a request from a 200 is None or False, and is told once."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=url, headers=headers, timeout=5.0)
        self._outbox: list[tuple[str, Body]] = []
        self._trouble = ""

    def get(self, path: str, **query: str | int | float) -> dict[str, Any] | None:
        """Return the reply to a question; None if there is none."""
        reply = self.ask("GET", path, params=query)
        return dict(reply.json()) if reply is not None and reply.status_code == 200 else None

    def report(self, path: str, body: Body) -> None:
        """Send until it is taken, in the order of the calls."""
        self._outbox.append((path, body))
        self.deliver()

    def deliver(self) -> bool:
        """Send what waits; tell whether nothing waits any more."""
        while self._outbox:
            reply = self.ask("POST", self._outbox[0][0], json=self._outbox[0][1])
            if reply is None or reply.status_code not in (200, *NEVER_RIGHT):
                return False
            self._outbox.pop(0)
        return True

    def ask(self, method: str, path: str, **what: Any) -> httpx.Response | None:  # noqa: ANN401  # passed on
        """Ask once; return what was answered, if anything was."""
        reply = None
        try:
            reply = self.client.request(method, path, **what)
            trouble = "" if reply.status_code == 200 else f"{path}: {reply.status_code} {reply.text}"
        except httpx.TransportError as e:
            trouble = f"{self.client.base_url} does not answer: {type(e).__name__}"
        if trouble not in ("", self._trouble):
            print("trouble:", trouble, flush=True)
        self._trouble = trouble
        return reply


class PaperTrader:
    """Trades on paper what it is told, once."""

    def __init__(self, api: Api, equity: float) -> None:
        self._api = api
        self.equity = equity
        self.open: dict[str, Trade] = {}
        self._known: set[str] = set()  # trades that were ever made
        self._terms: dict[str, Terms] = {}
        self._terms_s = self._heartbeat_s = float("-inf")
        self._withheld: dict[str, str] = {}
        self._currency, self._resumed = "", False

    def resume(self) -> bool:
        """Take up the positions that were left open, as the server knows them; tell whether it answered."""
        reply = self._api.get("/api/positions")
        for fields in [] if reply is None else reply["positions"]:
            if fields["trade_id"].startswith(OWN):
                self._known.add(fields["trade_id"])
                if fields["status"] == "open":
                    self._hold(Trade(*(fields[name] for name in TRADE_KEYS)))
        return reply is not None

    def step(self) -> None:
        """Do what a second asks for. While a report waits, the server doesn't know what is open: no signal then."""
        now_s = time.monotonic()
        delivered = self._api.deliver()
        if now_s - self._terms_s >= TERMS_EVERY_S and self._learn_terms():
            self._terms_s = now_s
        self._close_what_ended()
        if now_s - self._heartbeat_s >= HEARTBEAT_EVERY_S:
            self._api.ask("POST", "/api/heartbeat", json={"equity": self.equity, "positions": len(self.open)})
            self._heartbeat_s = now_s
        self._resumed = self._resumed or self.resume()
        if delivered and self._resumed:
            self._poll()

    def stop(self) -> None:
        """Say goodbye, and wait a little for what has not been delivered."""
        self._api.report("/api/events", {"event": "paper_client_stopped", "equity": self.equity})
        for _ in range(LAST_TRIES):
            if self._api.deliver():
                return
            time.sleep(1.0)

    def _poll(self) -> None:
        asked_s = time.monotonic()
        reply = self._api.get("/api/signals", equity=f"{self.equity:.2f}", limit=20)
        if reply is None:
            return
        self._show_withheld(reply["withheld"])
        for fields in reply["signals"]:
            try:
                signal = Signal.of(fields)
            except KeyError as e:
                print("refused: a signal without", e, flush=True)
                continue
            if trade_id_of(signal) not in self._known:
                self._consider(signal, asked_s)

    def _consider(self, signal: Signal, asked_s: float) -> None:
        price = self._price(signal.instrument)
        passed_ms = (time.monotonic() - asked_s) * 1000
        why = refusal(signal, passed_ms, self._terms.get(signal.instrument), price)
        if why or price is None:
            print("refused", signal.id, why, flush=True)
        else:
            self._fill(signal, price)

    def _fill(self, signal: Signal, price: float) -> None:
        trade_id, stop, target = trade_id_of(signal), signal.stop_loss, signal.take_profit_1
        self._hold(Trade(trade_id, signal.instrument, signal.action, signal.lots, price, stop, target))
        print(f"{signal.action} {signal.lots} {signal.instrument} at {price}: {signal.id}", flush=True)
        said = {name: getattr(signal, name) for name in ("symbol", "action", "lots", "alpha_id", "regime", "q_star")}
        priced: Body = {"trade_id": trade_id, "entry_price": price, "stop_loss": stop, "take_profit": target}
        self._api.report("/api/executions", {**said, **priced})

    def _hold(self, trade: Trade) -> None:
        self._known.add(trade.trade_id)
        self.open[trade.trade_id] = trade

    def _close_what_ended(self) -> None:
        for trade in tuple(self.open.values()):
            price = self._price(trade.instrument)
            if price is not None and (ended := trade.end(price)):
                self._close(trade, *ended)

    def _close(self, trade: Trade, reason: str, price: float) -> None:
        del self.open[trade.trade_id]
        body: Body = {"trade_id": trade.trade_id, "exit_price": price, "exit_reason": reason}
        terms = self._terms.get(trade.instrument)
        if terms is not None and terms.quote_currency == self._currency:  # elsewhere the rate is not known here
            body["pnl"] = pnl = round((price - trade.entry) * trade.up * trade.lots * terms.contract_size, 2)
            self.equity += pnl
        print(f"closed {trade.instrument} at {price}: {reason}", flush=True)
        self._api.report("/api/executions/close", body)

    def _price(self, instrument: str) -> float | None:
        """Return the newest price; None if there is none that may be acted on."""
        reply = self._api.get(f"/api/features/{instrument}", names="", forming=1)
        if reply is None or not reply["current"] or reply["forming"] is None:
            return None
        age_ms = reply["data_age_ms"]
        return float(reply["forming"]["close"]) if age_ms is not None and age_ms <= OLDEST_PRICE_MS else None

    def _learn_terms(self) -> bool:
        listed, account = self._api.get("/api/broker/symbols"), self._api.get("/api/account")
        if listed is None or account is None:
            return False
        self._currency = account["currency"]
        for symbol in listed["symbols"]:
            held = symbol[symbol["holds"]]  # "table" or "posted"
            self._terms[symbol["symbol"]] = Terms(**{name: held[name] for name in Terms.__dataclass_fields__})
        return True

    def _show_withheld(self, withheld: list[dict[str, str]]) -> None:
        for item in withheld:
            if self._withheld.get(item["instrument"]) != item["reason"]:
                print(f"withheld {item['instrument']}: {item['reason']}, {item['detail']}", flush=True)
        self._withheld = {item["instrument"]: item["reason"] for item in withheld}


def main() -> None:
    """Run until Ctrl-C, or for some seconds."""
    parser = argparse.ArgumentParser(description="trade on paper what the api advises")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--equity", type=float, default=10_000.0)
    parser.add_argument("--token", default=os.environ.get("API_TOKEN", ""))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this")
    given = parser.parse_args()
    api, until_s = Api(given.url, given.token), time.monotonic() + given.seconds
    with closing(api.client), suppress(KeyboardInterrupt):
        trader = PaperTrader(api, given.equity)
        try:
            while time.monotonic() < until_s:
                trader.step()
                time.sleep(1.0)
        finally:
            trader.stop()


if __name__ == "__main__":
    main()
