"""Kill a stage with -9 while its transaction is under way, and settle whether that was executed."""

from typing import Literal

from common import keys
from tests.pipeline.forked import ForkedPipeline
from tests.support import wait_until
from tests.support_proxy import FaultProxy

End = Literal["never", "done", "late"]
"""What becomes of the transaction: it is dropped, it is executed and nobody hears of it, or it arrives when another
instance of the stage has taken over."""
ENDS: tuple[End, ...] = ("never", "done", "late")
_DEADLINE_S = 60


def kill_inside_commit(pipeline: ForkedPipeline, stage: str, end: End) -> FaultProxy:
    """Start the stage anew behind a proxy, kill it inside a commit, and start it as it was. Close the proxy at last."""
    proxy = FaultProxy(pipeline.redis.port)
    pipeline.kill(stage)
    _started(pipeline, stage, proxy.port)
    if end == "never":
        proxy.drop_exec()
    elif end == "done":
        proxy.swallow_exec_reply()
    else:
        proxy.hold_exec()
    wait_until(lambda: bool(proxy.faults), _DEADLINE_S, f"a commit of {stage}")
    pipeline.kill(stage)
    _started(pipeline, stage, pipeline.redis.port)
    proxy.release()
    return proxy


def _started(pipeline: ForkedPipeline, stage: str, redis_port: int) -> None:
    """Start the stage, and wait until it has taken over."""
    client = pipeline.client()
    before = client.get(keys.epoch(0, stage))
    pipeline.start_through(stage, redis_port)
    wait_until(lambda: client.get(keys.epoch(0, stage)) != before, _DEADLINE_S, f"{stage} to take over")
    client.close()
