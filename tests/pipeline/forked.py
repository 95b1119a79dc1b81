"""The pipeline of the harness, its stages and its simulator forked: for tests that are not about a process's start."""

from tests.pipeline.harness import Pipeline
from tests.support_fork import fork


class ForkedPipeline(Pipeline):
    """As its base; a stage starts in some hundredths of a second."""

    def _spawn(self, name: str, arguments: list[str], **settings: str) -> None:
        dash_m, module, *rest = arguments
        assert dash_m == "-m"
        self.processes[name] = fork(
            module, *rest, folder=self.folder, log=self.folder / f"{name}.log",
            environment={**self.environment, **settings},
        )  # fmt: skip

    def start_through(self, stage: str, redis_port: int) -> None:
        """Start a stage that reaches Redis at another port."""
        self._spawn(stage, ["-m", stage], REDIS_PORT=str(redis_port))

    def start_anew(self, stage: str) -> None:
        """Start a stage as supervisord does: a new interpreter, with all its imports."""
        super()._spawn(stage, ["-m", stage])
