"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from common import keys
from common.settings import Settings
from deploy.layout import DEMO_PORTS, ROOT
from deploy.redis_choice import ACCEPT_VARIABLE, SLUGS
from tests.chaos import matrix, page

DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def table(document: str, heading: str) -> list[tuple[str, ...]]:
    """Return the body rows of the first table under a heading."""
    section = (ROOT / document).read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows[2:]]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_table_of_streams_is_the_codes() -> None:
    assert table("docs/streams.md", "Transport streams") == [
        (s.name, f"`{{p}}:{s.name}`", ", ".join(s.kinds), ", ".join(s.writers), ", ".join(s.readers))
        for s in keys.TRANSPORT
    ]


def test_the_table_of_keys_is_the_codes() -> None:
    made = {
        keys.left(0, "<stage>"),
        keys.epoch(0, "<stage>"), keys.state(0, "<stage>"), keys.failures(0, "<stage>"), keys.recovered(0, "<stage>"),
        keys.incarnation(0), keys.clock(0), keys.feature_pass(0), keys.bar_cache(0, "<symbol>", "<timeframe>"),
        keys.feature_values(0, "<symbol>", "<timeframe>"), keys.newest_signals(0), keys.symbol_status(0),
        keys.lane_heads(0), keys.terminal_ticks(0, "<symbol>"), keys.retired(0), keys.breaker("<source>"),
        keys.quota("<source>"), keys.source_report("<source>"), keys.heartbeat("<stage>", "<instance>"),
        keys.KIND_OF_RUN, keys.PARTITION_COUNT, keys.ACCOUNT,
    }  # fmt: skip
    documented = {cells[0].strip("`") for cells in table("docs/streams.md", "Other keys")}
    assert documented == {key.replace("{0}", "{p}") for key in made}
    assert table("docs/streams.md", "Dead letters")[0][1] == f"`{keys.dead(0, '<stage>').replace('{0}', '{p}')}`"


def test_every_function_that_makes_a_key_is_documented() -> None:
    """A key that is added to common/keys.py must be added to the test above and to the document."""
    text = (ROOT / "common" / "keys.py").read_text()
    makers = set(re.findall(r"^def (\w+)\(", text, re.MULTILINE)) - {"partition_of"}
    named = set(re.findall(r"keys\.(\w+)\(", Path(__file__).read_text()))
    assert makers <= named


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_make_target_in_a_document_exists(document: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named <= make_targets()


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_variable_in_the_operators_page_exists() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`((?:DEMO_)?[A-Z]+(?:_[A-Z]+)+)(?:=[a-z-]+)?`", text))
    known = {name.upper() for name in Settings.model_fields} | DEMO_PORTS.keys() | {ACCEPT_VARIABLE}
    assert named
    assert named <= known
    assert set(re.findall(rf"{ACCEPT_VARIABLE}=([a-z-]+)", text)) == set(SLUGS)


def test_the_fault_matrix_is_the_tests_own() -> None:
    """`make chaos-page` writes it; TESTS=tests/chaos/test_x.py for some rows only."""
    assert [page.cells(row) for row in matrix.faults()] == list(page.on_page())


def test_every_row_of_the_fault_matrix_was_measured() -> None:
    assert [cells for cells, (measured, _) in page.on_page().items() if measured == page.NOT_YET] == []


def test_every_change_that_turns_a_fault_test_red_is_to_a_file_that_exists() -> None:
    files = {row: row.teeth.partition(": ")[0] for row in matrix.faults()}
    assert [row for row, file in files.items() if not (ROOT / file).is_file()] == []


def test_help_lists_every_public_target() -> None:
    described = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert described == make_targets()


def test_the_project_speaks_of_itself_alone() -> None:
    for document in DOCS:
        assert re.search(r"TODO|FIXME|/(work|tmp)/", document.read_text()) is None, document
