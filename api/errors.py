"""What a client gets when it asked wrongly or when something is away: always JSON of one shape, always ASCII."""

import json

import msgspec
from starlette.responses import Response

FOUND_LENGTH = 100  # enough to recognise one's own input, too little to amplify it


class ApiError(Exception):
    """An answer that is not 200. `expected` and `found` name the two sides of a refused input."""

    def __init__(
        self, status: int, code: str, message: str, expected: str = "", found: str = "", retry_in_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.expected = expected
        self.found = found[:FOUND_LENGTH]
        self.retry_in_s = retry_in_s

    def response(self) -> Response:
        """Return the reply."""
        body = {"code": self.code, "message": self.message, "expected": self.expected, "found": self.found}
        response = json_response({"error": body}, self.status)
        if self.retry_in_s is not None:
            response.headers["retry-after"] = str(self.retry_in_s)
        return response


def invalid(message: str, expected: str, found: str) -> ApiError:
    """Return the refusal of an input: 422."""
    return ApiError(422, "invalid_input", message, expected, found)


def shown(value: object) -> str:
    """Return what was found in a body, as an error tells it."""
    return "nothing" if value is None else str(value)


def away(code: str, message: str, found: str = "") -> ApiError:
    """Return the word that a dependency is away: 503."""
    return ApiError(503, code, message, "the dependency answers", found)


def json_response(content: object, status: int = 200) -> Response:
    """Return a reply of compact JSON in pure ASCII."""
    return ascii_response(ascii_json(content), status)


def ascii_json(content: object) -> bytes:
    """Return compact JSON in pure ASCII: some clients decode in an ANSI code page. What is not finite becomes null."""
    try:
        body = msgspec.json.encode(content)
    except UnicodeEncodeError:  # half of a surrogate pair, out of somebody's input
        body = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    if not body.isascii():
        body = json.dumps(msgspec.json.decode(body), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return body


def ascii_response(body: bytes, status: int = 200) -> Response:
    """Return JSON that is already written."""
    return Response(body, status, media_type="application/json")
