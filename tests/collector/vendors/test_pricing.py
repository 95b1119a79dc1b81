"""The reader of PricingData, against Google's own encoder and reader."""

import math
from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from collector.vendors.yahoo import pricing
from tests.collector.vendors.streaming import DECLARED, DOUBLE, FLOAT, INT32, SINT64, TEXT, PricingData
from tests.collector.vendors.streaming import pricing as encoded
from tests.support_examples import examples

VALUES: dict[int, st.SearchStrategy[Any]] = {
    TEXT: st.text(),
    FLOAT: st.floats(width=32, allow_nan=False),
    DOUBLE: st.floats(allow_nan=False),
    INT32: st.integers(-(2**31), 2**31 - 1),
    SINT64: st.integers(-(2**63), 2**63 - 1),
}
MESSAGES = st.fixed_dictionaries({}, optional={name: VALUES[kind] for name, _, kind in DECLARED})
UNKNOWN = b"\xa2\x3e\x02ab" + b"\xa8\x3e\x96\x01" + b"\xad\x3e\0\0\x80\x3f" + b"\xb1\x3e" + b"\0" * 8
"""Fields 996 to 998: a text, an integer, and one of each fixed width."""


def test_the_table_of_fields_is_the_declared_one() -> None:
    names = {TEXT: "text", FLOAT: "float", DOUBLE: "double", INT32: "int32", SINT64: "sint64"}
    assert dict(pricing.FIELDS) == {number: (name, names[kind]) for name, number, kind in DECLARED}


@given(MESSAGES)
@examples(150)
def test_whatever_was_encoded_is_read(fields: dict[str, Any]) -> None:
    carried = {name: value for name, value in fields.items() if not _is_default(value)}
    assert pricing.read(encoded(**fields)) == carried


@given(MESSAGES)
@examples(50)
def test_unknown_fields_are_skipped_wherever_they_stand(fields: dict[str, Any]) -> None:
    message = encoded(**fields)
    assert pricing.read(UNKNOWN + message + UNKNOWN) == pricing.read(message)


@given(st.binary(max_size=60))
@examples(300)
def test_any_bytes_are_read_as_the_reference_reads_them(content: bytes) -> None:
    _compare(content)


@given(MESSAGES, st.data())
@examples(300)
def test_damaged_messages_are_read_as_the_reference_reads_them(fields: dict[str, Any], data: st.DataObject) -> None:
    message = encoded(**fields)
    place = data.draw(st.integers(0, len(message)))
    _compare(message[:place] + data.draw(st.binary(max_size=3)) + message[place + data.draw(st.integers(0, 4)) :])


def test_a_group_is_skipped_and_an_open_one_is_broken() -> None:
    price = encoded(price=1.5)
    nested = b"\xa3\x3e" + b"\xab\x3e" + b"\x08\x01" + b"\xac\x3e" + b"\xa4\x3e"
    assert pricing.read(nested + price) == {"price": 1.5}
    assert pricing.read(b"\xa3\x3e" + price) is None
    assert pricing.read(b"\xa4\x3e" + price) is None
    assert pricing.read(b"\xa3\x3e\xac\x3e" + price) is None


def test_a_truncated_message_is_broken_at_every_byte_that_cuts_a_field() -> None:
    message = encoded(id="EURUSD=X", price=1.0871234, time=1_900_058_403_000)
    whole = [n for n in range(len(message)) if pricing.read(message[:n]) is not None]
    assert whole == [0, 10, 15]  # between two fields: what is there is complete


def _is_default(value: object) -> bool:
    return value in ("", 0) and not (isinstance(value, float) and math.copysign(1, value) < 0)  # -0.0 is sent


def _compare(content: bytes) -> None:
    """Check that both readers refuse the bytes, or find the same."""
    reference = PricingData()
    found = pricing.read(content)
    try:
        reference.ParseFromString(content)
    except DecodeError:
        assert found is None
        return
    assert found is not None
    carried = {field.name: value for field, value in reference.ListFields()}
    present = {name: value for name, value in found.items() if not _is_default(value)}
    assert repr(dict(sorted(present.items()))) == repr(dict(sorted(carried.items())))  # NaN is equal to NaN in words
