"""Start an installation: check what could be in its way, decide on Redis, start supervisord."""

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from common.errors import Fatal
from deploy import supervise
from deploy.layout import Layout
from deploy.ports import require_free
from deploy.redis_choice import Answering, Embedded, choose, find_binary

DEMO_MARK = ".demo"  # only a folder that holds it is ever emptied


def bring_up(layout: Layout, accepted: Collection[str], *, foreground: bool) -> "subprocess.Popen[bytes]":
    """Start all programs and return supervisord's process. Fatal says what is in the way and how to move it."""
    folders = layout.folders
    if supervise.is_running(folders):
        raise Fatal(f"{folders.mode} runs already in {folders.data}; `make status` shows it, `make stop` ends it")
    for address in (layout.api, layout.simulator):
        if address is not None:
            require_free(address)
    chosen = _redis(layout, accepted)
    if folders.mode == "demo":
        empty_demo(folders.data)
    print(f"starting {folders.mode}, data in {folders.data}")
    print(f"  redis     {describe(chosen, layout)}")
    if layout.simulator is not None:
        print(f"  vendors   simulated at http://{layout.simulator.where}")
    print(f"  stages    on {layout.api_url}, logs in {folders.logs}", flush=True)
    return supervise.start(layout, chosen if isinstance(chosen, Embedded) else None, foreground=foreground)


def empty_demo(data: Path) -> None:
    """Leave an empty data folder. Fatal if there is one that no demo made: it is not ours to delete."""
    mark = data / DEMO_MARK
    if data.exists():
        if not mark.exists() and any(data.iterdir()):
            raise Fatal(f"{data} holds files that no demo made; move them away, a demo empties that folder")
        shutil.rmtree(data)
    data.mkdir(parents=True)
    mark.touch()


def describe(chosen: Answering | Embedded, layout: Layout) -> str:
    """Return which Redis is used, for a person."""
    if isinstance(chosen, Answering):
        return f"the one that answers: {chosen.title}"
    return f"our own {chosen.binary.name} on {layout.redis.address.where}, data in {layout.folders.redis}"


def _redis(layout: Layout, accepted: Collection[str]) -> Answering | Embedded:
    if layout.folders.mode == "live":
        chosen = choose(layout.redis, accepted)
        if isinstance(chosen, Answering):
            return chosen
    require_free(layout.redis.address)  # a demo never uses a Redis that somebody else may need
    return Embedded(find_binary())
