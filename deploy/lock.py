"""Write the lock files anew: `python -m deploy.lock`. Needs uv and the package index.

The files hold for every supported Python, with markers, and name no registry: any index that serves the same bytes
will do.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = "3.11"
OPTIONS = (
    "--upgrade", "--universal", "--python-version", OLDEST_PYTHON, "--fork-strategy", "fewest", "--generate-hashes",
    "--no-strip-extras", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-config", "--quiet",
)  # fmt: skip


def main() -> int:
    """Compile both files; what runs in production has the same versions in both."""
    for extra, output in (
        (("--extra", "build"), "requirements.lock"),
        (("--extra", "build", "--extra", "dev", "--constraints", "requirements.lock"), "requirements-dev.lock"),
    ):
        failed = compile_lock(extra, output)
        if failed:
            return failed
    return 0


def compile_lock(extra: Sequence[str], output: str) -> int:
    """Write one lock file, and return uv's exit code."""
    uv = [sys.executable, "-m", "uv", "pip", "compile"]
    command = [*uv, "pyproject.toml", *OPTIONS, *extra, "--output-file", output]
    return subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
