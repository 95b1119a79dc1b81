"""Errors, classed by what the caller should do next."""


class PipelineError(Exception):
    """The common base: never raised itself."""


class Retryable(PipelineError):
    """Something we depend on is away (Redis, the disk): keep the batch in memory and try again."""


class Rejected(PipelineError):
    """This input can never be used. `reason` is a fixed slug, `detail` says what was expected and found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Fatal(PipelineError):
    """The process can't go on safely: stop, leave everything pending, say why."""


class Fenced(Fatal):
    """Another instance has taken this partition over: stop without touching anything."""
