"""GET / for a browser: the operator's page, one static file that polls this api from the browser."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

PAGE = Path(__file__).with_name("dashboard.html")

HEADERS = {
    "vary": "accept",
    "cache-control": "no-cache",
    # All that the page needs is in it, beside the answers of the server that it came from.
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",  # the page's address may hold the token
    "x-content-type-options": "nosniff",
}


def wanted(request: Request) -> bool:
    """Tell whether the client is a browser: it asks for text/html by name, and for JSON no more than that."""
    weights = _weights(",".join(request.headers.getlist("accept")))
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)


def page() -> Response:
    """Return the page."""
    return Response(PAGE.read_bytes(), media_type="text/html", headers=HEADERS)


def _weights(accept: str) -> dict[str, float]:
    """Return each media type of an Accept header with its weight; one that can't be read weighs nothing."""
    weights = {}
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            weights[media_type] = float(weight)
        except ValueError:
            weights[media_type] = 0.0
    return weights
