"""A vendor's stream in the test's own hands: a dialogue without a network."""

import json
from typing import Any

from simulator.dialogue import Dialogue, News, Opening, Says
from simulator.market import Market
from simulator.stream_news import Desk
from simulator.streams import stream_vendors
from simulator.wire import Answer

PATHS = {"yahoo": "/", "twelvedata": "/v1/quotes/price", "polygon": "/forex"}


class Talk:
    """A dialogue with one vendor without a network."""

    def __init__(self, market: Market, vendor: str, *, real: bool = False, path: str = "", **params: str) -> None:
        self.vendor = vendor
        found = stream_vendors(market, real_limits=real)[vendor].welcome(Opening(path or PATHS[vendor], params, {}))
        assert not isinstance(found, Answer), found
        self.dialogue: Dialogue = found
        self._desk = Desk(market)
        self.opened = self.dialogue.opened()

    def say(self, order: Any) -> Says:
        return self.dialogue.read(json.dumps(order))

    def answer(self, order: Any) -> Any:
        (frame,) = self.say(order).frames
        return json.loads(frame)

    def news(self, cycle: int) -> News:
        self._desk.turn_to(cycle)
        return self._desk.news(self.vendor, self.dialogue.wanted())

    def cycle(self, cycle: int) -> list[str]:
        return [frame.text for frame in self.dialogue.push(self.news(cycle))]
