"""The paths that more than one module must know."""

V1 = "/api/v1"
STREAM = V1 + "/stream"
SOCKET = "/ws/live"
LIVE = frozenset({STREAM, SOCKET})
"""Where a reply goes on for as long as the client stays."""
