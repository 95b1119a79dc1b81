"""The peers of the api in its bench: the same server with a constant, or reading key after key without more ado."""

import json
import sys
from pathlib import Path

import redis.asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.served_state import read_one_by_one
from common.symbols import load_symbols

CONSTANT = json.dumps({"signals": [], "count": 0, "withheld": []}).encode()


def main(port: int, redis_port: int, count: int, folder: str) -> None:
    """Serve until killed."""
    names = [f"S{number:04}" for number in range(count)]
    wanted = read_one_by_one(load_symbols(names, Path(folder) / "symbols.toml"))
    client = redis.asyncio.Redis(port=redis_port, protocol=2)

    async def constant(_request: Request) -> Response:
        return Response(CONSTANT, media_type="application/json")

    async def naive(_request: Request) -> Response:
        bodies = [await client.execute_command(*command) for command in wanted]  # type: ignore[no-untyped-call]  # redis-py
        found = [json.loads(body) for body in bodies if body is not None]
        signals = [one for one in found if one.get("kind") == "signal"]
        return Response(json.dumps({"signals": signals[:1], "count": 1}), media_type="application/json")

    app = Starlette(routes=[Route("/constant", constant), Route("/naive", naive)])
    uvicorn.run(app, port=port, log_config=None, access_log=False, loop="uvloop", http="httptools")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
