"""/api/broker/symbols: POST keeps a terminal's word on its broker's terms, GET shows all, and which hold."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.body import first_object
from api.broker_book import EVENT, posted_terms
from api.context import Context, context_of
from api.errors import json_response
from api.report_routes import times
from api.reports import fingerprint
from api.times import iso
from common.symbols import Symbol
from common.symbols.broker import POSITIVE

_SHOWN = (*POSITIVE, "digits", "quote_currency", "tick_value")


async def post_broker_symbols(request: Request) -> Response:
    """Keep a terminal's word on its symbols; the same again changes nothing."""
    context, body = context_of(request), await first_object(request)
    found = posted_terms(body)
    stream_ms, wall_ms = await times(context)
    context.sightings.report_wall_ms = wall_ms
    content: dict[str, object] = {"status": "ok", "id": "", "duplicate": True, "symbols": len(found)}
    if not context.ledger.broker.holds(found):
        identity = f"broker:{fingerprint(body)}:{wall_ms}"
        receipt = await context.ledger.tell(identity, EVENT, body, stream_ms, wall_ms)
        content |= {"id": receipt.id, "duplicate": receipt.duplicate}
    known = {symbol.broker for symbol in context.table.symbols.values()}
    content["unknown"] = [terms.symbol for terms in found if terms.symbol not in known]
    return json_response(content)


async def get_broker_symbols(request: Request) -> Response:
    """Answer with each symbol's terms in the table, as they were posted, and which hold."""
    context = context_of(request)
    symbols = [_shown(context, symbol) for symbol in context.table.symbols.values()]
    head = {"timestamp": iso(context.wall_ms()), "simulated": context.settings.simulated}
    return json_response({**head, "count": len(symbols), "symbols": symbols})


def _shown(context: Context, symbol: Symbol) -> dict[str, object]:
    posted = context.ledger.broker.posted(symbol)
    return {
        "symbol": symbol.name,
        "broker": symbol.broker,
        "holds": "table" if posted is None else "posted",
        "table": {name: getattr(symbol, name) for name in (*_SHOWN, "margin_rate")},
        "posted": None if posted is None else msgspec.structs.asdict(posted.terms),
        "posted_at": None if posted is None else iso(posted.wall_ms),
    }
