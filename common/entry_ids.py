"""Ids of stream entries, as pairs that compare as Redis compares."""

EntryId = tuple[int, int]


def parse_id(text: bytes) -> EntryId:
    """Return "milliseconds-sequence" as a pair; a sequence that is left out is 0."""
    ms, _, sequence = text.partition(b"-")
    return int(ms), int(sequence or 0)
