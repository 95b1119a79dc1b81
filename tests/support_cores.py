"""Where cores may be kept awake."""

import sys

import pytest

from common.errors import Fatal
from deploy.awake import refuse_limited


def _why_not() -> str:
    """Return why cores can't be kept awake here; empty if they can."""
    if sys.platform != "linux":
        return "only Linux has an idle priority"
    try:
        refuse_limited()
    except Fatal as e:
        return str(e)
    return ""


needs_unlimited_cores = pytest.mark.skipif(bool(_why_not()), reason=_why_not())
