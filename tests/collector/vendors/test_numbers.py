"""Numbers and times as vendors spell them."""

import random
import struct

import numpy as np
import pytest

from collector.vendors.bodies import Json, read_object
from collector.vendors.numbers import number, shortest_float32
from collector.vendors.times import epoch_ms, is_weekend, retry_after_s, utc_ms
from common.messages import Number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None), (1, 1.0), (-5.505085e-4, -5.505085e-4), ("1.16696", 1.16696), ("490", 490.0),
        ("-2.464E10", -2.464e10),
        ("", ""), ("-", "-"), ("Infinity", "Infinity"), ("NaN", "NaN"), ("1_0", "1_0"), (" 1", " 1"), ("1,5", "1,5"),
        ("0x10", "0x10"), ("1e999", "1e999"), ("\u0661", "\\u0661"), ("\ud800", "\\ud800"),
        (True, "true"), (False, "false"),
        ([1], "array"), ({}, "object"), (10**400, "integer of 1329 bits"), ("9" * 50, "9" * 40),
    ],
)  # fmt: skip
def test_a_number_is_finite_or_stays_the_text_that_it_was(value: Json, expected: Number) -> None:
    assert number(value) == expected
    assert type(number(value)) is type(expected)


@pytest.mark.parametrize("lexeme", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_json_has_no_number_for_comes_as_text(lexeme: str) -> None:
    assert read_object(f'{{"a":{lexeme}}}'.encode()) == {"a": lexeme}


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"9" * 5_000 + b"}"]
)
def test_a_body_that_is_no_object_is_none(body: bytes) -> None:
    assert read_object(body) is None


def test_a_byte_order_mark_does_no_harm() -> None:
    assert read_object(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_widened_float32_gets_its_shortest_decimal_as_numpy_has_it() -> None:
    source = random.Random(7)
    bits = [source.getrandbits(31) for _ in range(3_000)]
    prices = [float(np.float32(source.uniform(0.5, 60_000))) for _ in range(3_000)]
    powers = [2.0**e for e in range(-40, 24)]
    wide = [float(struct.unpack("<f", struct.pack("<I", b))[0]) for b in bits] + prices + powers
    usable = [v for v in wide if abs(v) < 2**24]
    assert len(usable) > 4_000
    assert [shortest_float32(v) for v in usable] == [float(str(np.float32(v))) for v in usable]


@pytest.mark.parametrize("value", [103.63, 1.0489877, 20_000_001.0, 1e300, "Infinity", None])
def test_what_is_no_widened_float32_is_left_alone(value: Number) -> None:
    assert shortest_float32(value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1739789683, 1739789683000), (1739789683.5, 1739789683500), ("1739789683", 1739789683000),
        (1641849667000, 1641849667000), (1679597116344223500, 1679597116344), (1679597116344223, 1679597116344),
        (0, None), (-1, None), (True, None), ("soon", None), (None, None), ([], None), (1e300, None), (17397896, None),
    ],
)  # fmt: skip
def test_the_unit_of_a_time_is_told_by_its_magnitude(value: Json, expected: int | None) -> None:
    assert epoch_ms(value) == expected


def test_a_stamp_is_utc_or_nothing() -> None:
    assert utc_ms("2026-05-15 21:05:00") == 1778879100000
    assert [utc_ms(v) for v in ("2026-05-15", "2026-13-01 00:00:00", "2026-05-15T21:05:00", None, 5)] == [None] * 5
    assert utc_ms("0001-01-01 00:00:00") is None


def test_the_weekend_is_saturday_and_sunday_in_utc() -> None:
    saturday_ms = 1673049600000  # 2023-01-07 00:00
    assert [is_weekend(saturday_ms + h * 3_600_000) for h in (-1, 0, 47, 48)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("30", 30.0), ("0", 0.0), ("999999", 86_400.0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0), ("", None),
        ("-5", None), ("soon", None), ("Tue, 14 Nov 2023 22:12:20 GMT", None), ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("1" * 400, None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str, expected: float | None) -> None:
    assert retry_after_s(header, now_ms=1_700_000_000_000) == expected  # 2023-11-14 22:13:20 UTC
