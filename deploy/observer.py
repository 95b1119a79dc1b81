"""Read what an installation says of itself."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import cast

import msgspec
from pydantic import SecretStr

from common import keys
from common.errors import Fatal, PipelineError
from common.messages import Signal
from common.redis_link import Link, open_link
from common.settings import Settings, load_settings
from deploy import screen, supervise
from deploy.layout import Folders
from deploy.screen import NOTHING, Json, View

ANSWER_S = 2.0
PRICE_TIMEFRAME = "1m"

_signal = msgspec.json.Decoder(Signal)


class Observer:
    """Reads what an installation says of itself: from its api, and, since they expire there, signals from Redis."""

    def __init__(self, url: str, token: str, link: Link, partitions: Sequence[int]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._link, self._partitions = link, partitions

    def get(self, path: str) -> Json:
        """Return the api's object at a path, whatever its HTTP status; an empty one if nothing answers."""
        request = urllib.request.Request(self._url + path, headers=self._headers)  # noqa: S310  # our own http URL
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:  # noqa: S310
                return _object(reply.read())
        except urllib.error.HTTPError as e:
            with e:
                return _object(e.read())
        except (OSError, ValueError):
            return NOTHING

    def view(self) -> View:
        """Return everything that the screen shows."""
        symbols = [cast(Json, s) for s in _list(self.get("/api/symbols").get("symbols")) if isinstance(s, dict)]
        names = [str(symbol.get("symbol")) for symbol in symbols]
        prices = {name: price for name in names if (price := self._price(name)) is not None}
        return View(self.get("/health"), symbols, prices, self._signals(names))

    def _price(self, name: str) -> float | None:
        bars = self.get(f"/api/bars/{name}?timeframe={PRICE_TIMEFRAME}&limit=1&forming=true")
        # A vendor's bar is history: while it is being loaded it may be the newest there is, and days old.
        closed = [bar for bar in _list(bars.get("bars")) if isinstance(bar, dict) and bar.get("origin") == "built"]
        newest = screen.part(bars, "forming") or (cast(Json, closed[-1]) if closed else NOTHING)
        close = newest.get("close")
        return float(close) if isinstance(close, int | float) else None

    def _signals(self, names: Sequence[str]) -> list[Signal]:
        commands = [("HMGET", keys.newest_signals(partition), *names) for partition in self._partitions if names]
        try:
            replies = self._link.exchange(commands) if commands else []
            bodies = [body for reply in replies if isinstance(reply, list) for body in reply]
            return [_signal.decode(body) for body in bodies if isinstance(body, bytes)]
        except (PipelineError, msgspec.DecodeError):
            return []


def _object(body: bytes) -> Json:
    found = json.loads(body)
    return cast(Json, found) if isinstance(found, dict) else NOTHING


def _list(value: object) -> list[object]:
    return cast(list[object], value) if isinstance(value, list) else []


def observer_of(folders: Folders) -> Observer:
    """Return an observer of what was started last in these folders."""
    note = supervise.note(folders)
    token = _secrets(folders).api_token.get_secret_value()
    return Observer(note.api_url, token, link_of(folders), note.partitions)


def link_of(folders: Folders) -> Link:
    """Return a connection to the Redis of what was started last in these folders."""
    note, password = supervise.note(folders), _secrets(folders).redis_password
    settings = Settings.model_construct(
        redis_host=note.redis_host, redis_port=note.redis_port, redis_db=note.redis_db, redis_password=password
    )
    return open_link(settings)


def _secrets(folders: Folders) -> Settings:
    """Return settings to take secrets from; the demo has none, and settings that are wrong tell none."""
    if folders.mode == "live":
        try:
            return load_settings()
        except Fatal:
            pass
    return Settings.model_construct(api_token=SecretStr(""), redis_password=SecretStr(""))
