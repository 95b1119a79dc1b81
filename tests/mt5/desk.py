"""An advisor at its terminal, and the real api that it talks to."""

import json
from dataclasses import dataclass, field

import httpx

from tests.api.world import World
from tests.mt5.terminal import Asked, Terminal

TOKEN = "open sesame"
INDEX = {
    "BID": 15004.5, "ASK": 15005.5, "POINT": 0.01, "TRADE_STOPS_LEVEL": 0, "VOLUME_MIN": 0.1, "VOLUME_MAX": 100,
    "VOLUME_STEP": 0.1, "TRADE_CONTRACT_SIZE": 1, "TRADE_TICK_SIZE": 0.01, "TRADE_TICK_VALUE": 0.01, "DIGITS": 2,
    "FILLING_MODE": 1,
}  # fmt: skip


@dataclass
class Desk:
    """The advisor at its terminal, and the api that it talks to. away: paths that get no answer."""

    terminal: Terminal
    world: World
    client: httpx.AsyncClient
    away: set[str] = field(default_factory=set)
    """Paths of which no request arrives."""
    deaf: set[str] = field(default_factory=set)
    """Paths of which no reply arrives."""
    slow_ms: int = 0
    simulated: bool = False
    """The api says of its signals that they are."""

    async def answer(self, asked: Asked) -> tuple[int, int, str]:
        """Pass a request on to the api."""
        path = asked.path.partition("?")[0]
        if path in self.away:
            return -1, 3_000, ""
        headers = dict(line.split(": ") for line in asked.headers.split("|") if line)
        reply = await self.client.request(asked.method, asked.path, content=asked.body, headers=headers)
        if path in self.deaf:
            return -1, 3_000, ""
        text = reply.text.replace('"simulated":false', '"simulated":true') if self.simulated else reply.text
        return reply.status_code, self.slow_ms, text

    async def seconds(self, count: int) -> None:
        """Let time pass, with a timer each second."""
        for _ in range(count):
            self.world.wall.ms += 1_000
            self.world.alive("NAS100", "XAUUSD")
            await self.terminal.timers(1)

    async def positions(self) -> list[dict[str, object]]:
        """Return what the api knows of positions."""
        reply = await self.client.get("/api/positions", headers={"authorization": f"Bearer {TOKEN}"})
        return list(reply.json()["positions"])

    def posted(self, path: str) -> list[dict[str, object]]:
        """Return the bodies that were sent to a path."""
        return [json.loads(asked.body) for asked in self.terminal.asked if asked.path == path]


def signal(desk: Desk, **changes: object) -> None:
    """Publish a signal to buy NAS100 that lives for a minute."""
    desk.world.signal("NAS100", **{"expires_ms": desk.world.wall.ms + 60_000, **changes})
