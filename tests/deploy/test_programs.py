"""What supervisord is told of each program."""

from configparser import RawConfigParser
from pathlib import Path

import pytest

from deploy.layout import ROOT

DAY_S = 86_400
FILES = sorted((ROOT / "deploy" / "programs").glob("*.conf"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_program_that_can_not_be_started_for_a_day_is_not_given_up(file: Path) -> None:
    told = RawConfigParser()
    told.read(file)
    retries = told.getint(f"program:{file.stem}", "startretries", fallback=3)  # supervisord's own default
    waits_s = range(1, retries + 1)  # supervisord waits a second longer before each
    assert sum(waits_s) > DAY_S
