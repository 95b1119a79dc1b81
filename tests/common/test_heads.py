"""The records of how fresh a symbol's series is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.bars import SOURCE_BYTES
from common.heads import HEAD, NEVER, FormingHead, LaneHead, decode_head, encode_head, heads_of
from common.symbols import CLASS_BYTES, SourceClass, SymbolTable
from tests.support_examples import examples

INT64 = st.integers(NEVER + 1, 2**63 - 1)
NUMBERS = st.floats(allow_nan=False)


def names(size: int) -> st.SearchStrategy[str]:
    """Names that fit."""
    return st.text(st.characters(exclude_characters="\0", codec="utf-8")).filter(lambda s: len(s.encode()) <= size)


HEADS = st.builds(
    LaneHead, st.none() | INT64, names(SOURCE_BYTES), names(CLASS_BYTES), INT64, st.booleans(),
    st.none() | st.builds(FormingHead, INT64, NUMBERS, NUMBERS, NUMBERS), st.none() | NUMBERS, st.none() | NUMBERS,
)  # fmt: skip


@given(HEADS)
@examples(200)
def test_a_head_is_the_same_after_its_record(head: LaneHead) -> None:
    assert decode_head(encode_head(head)) == head


@given(st.lists(HEADS, max_size=5))
@examples(50)
def test_columns_hold_what_the_heads_do(heads: list[LaneHead]) -> None:
    rows = heads_of([encode_head(head) for head in heads])
    assert rows["market_ms"].tolist() == [NEVER if h.market_ms is None else h.market_ms for h in heads]
    assert rows["delay_ms"].tolist() == [h.delay_ms for h in heads]
    assert rows["warming"].tolist() == [h.warming for h in heads]
    assert rows["source_class"].tolist() == [h.source_class.encode() for h in heads]
    assert np.isnan(rows["score"]).tolist() == [h.score is None for h in heads]


def test_what_is_no_record_is_no_head() -> None:
    record = encode_head(LaneHead(1, "yahoo", "fx_spot"))
    assert len(record) == HEAD.itemsize
    assert [decode_head(body) for body in (b"", record[:-1], record + b"\0", b'{"market_ms":1}')] == [None] * 4


def test_the_symbol_table_refuses_a_class_whose_name_does_not_fit() -> None:
    names = {name: SourceClass(title="", session="fx") for name in ("x" * CLASS_BYTES, "x" * (CLASS_BYTES + 1))}
    SymbolTable(symbols={}, classes=dict([*names.items()][:1]))
    with pytest.raises(ValidationError, match="at most 32 bytes"):
        SymbolTable(symbols={}, classes=names)
