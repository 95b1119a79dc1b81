"""What Alpha Vantage says instead of data. Key and words have changed before, so the sense is taken by sentence.

One text may complain, excuse and advertise: "1 request per second ... lift the limit of 25 requests per day ... unlock
all premium endpoints". The first sentence that complains counts; what advertises counts only where nothing else does.
"""

import re

from collector.vendors.answers import Trouble
from collector.vendors.base import Verdict
from collector.vendors.bodies import JsonObject
from collector.vendors.times import until_next_day_s

_DATA = ("Realtime Currency Exchange Rate", "Global Quote", "Time Series")
_POLICY = frozenset({"information", "note"})
"""Keys, in lower case, whose text is about the key and its limits, whatever it says."""
_PER_SECOND_S = 2.0  # one call a second is allowed; clients that wait 2 s are left alone
PER_MINUTE_S = 60.0
_READ_CHARS = 2_000

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_ADVERTISES = re.compile(r"subscribe|premium (plan|member|key)|\bupgrade\b|higher api|/premium/|claim your free")
_SECOND = re.compile(r"(per|a|each|every|1|one)[ -]second|/ ?s(ec(ond)?)?\b|\bburst")
_MINUTE = re.compile(r"(per|a|each|every|1|one)[ -]minute|/ ?min(ute)?\b")
_DAY = re.compile(r"(per|a|each|every|1|one)[ -]day|/ ?day\b|\bdaily\b|\btoday\b|24[ -]hours?|tomorrow")
_LIMIT = re.compile(
    r"\blimit|frequen|\bquota|exceed|exhaust|throttl|too (many|fast|often)|slow down|spread|sparing|used up|run out"
)
_KEY = re.compile(r"api[ _-]?key|\btoken\b|credential")
_DEAD = re.compile(r"expired|revoked|disabled|deactivated|suspended|banned|blocked")
_BAD = re.compile(
    r"invalid|missing|not (valid|recogni|found|exist|active|provided|specified)|incorrect|wrong|unknown|required|"
    r"reject|could not|cannot|can't|malformed|unverified"
)
_UNAUTHORIZED = re.compile(r"\bdemo\b|unauthori[sz]ed|not authori[sz]ed|authentication|forbidden")
_PREMIUM = re.compile(r"premium|entitle|not (available|included|part)|your (current )?plan|subscri")
_NOT_SERVED = re.compile(r"invalid api call|invalid|unknown|not (found|exist|supported|recogni|listed)|no such|no data")


def has_data(content: JsonObject) -> bool:
    """Tell whether the reply holds anything but words about itself."""
    named = any(value and key.startswith(_DATA) and isinstance(value, dict) for key, value in content.items())
    return named or ("price" in content and "nominal" in content)


def trouble_in(content: JsonObject, received_ms: int) -> Trouble | None:
    """Return what a reply without data complains of; None if its words say nothing that we know."""
    texts = _texts(content)
    for text in texts.values():
        trouble = _sense(text[:_READ_CHARS], received_ms)
        if trouble is not None:
            return trouble
    unknown = next((text for key, text in texts.items() if key.lower() in _POLICY), None)
    # A limit, or a bad key, in words that are new: leave it alone for a while, and show them.
    return None if unknown is None else Trouble(Verdict.RATE_LIMITED, f"not understood: {unknown}", PER_MINUTE_S)


def artificial(content: JsonObject) -> str:
    """Return the text that calls the numbers beside it samples; an empty string if there is none."""
    return next((text for text in _texts(content).values() if "artificial" in text.lower()), "")


def _texts(content: JsonObject) -> dict[str, str]:
    """Return the texts at the top and in the objects below it, by key; what describes a series is none."""
    below = [value for key, value in content.items() if isinstance(value, dict) and key != "Meta Data"]
    return {key: text for level in (content, *below) for key, text in level.items() if isinstance(text, str) and text}


def _sense(text: str, received_ms: int) -> Trouble | None:
    sentences = _SENTENCE.split(text.lower())
    complaints = [s for s in sentences if not _ADVERTISES.search(s)]
    for sentence in (*complaints, *(s for s in sentences if s not in complaints)):
        found = _of_sentence(sentence, received_ms)
        if found is not None:
            return Trouble(found[0], text, found[1])
    return None


def _of_sentence(said: str, received_ms: int) -> tuple[Verdict, float | None] | None:
    """Return the verdict of one sentence and the wait it asks for; None if it complains of nothing."""
    if _KEY.search(said) and _DEAD.search(said):
        return Verdict.BAD_KEY, None
    wait_s = _wait_s(said, received_ms)
    if wait_s is not None:
        return Verdict.RATE_LIMITED, wait_s
    if _UNAUTHORIZED.search(said) or (_KEY.search(said) and _BAD.search(said)):
        return Verdict.BAD_KEY, None
    if _PREMIUM.search(said):
        return Verdict.NOT_ENTITLED, None
    return (Verdict.UNKNOWN_SYMBOL, None) if _NOT_SERVED.search(said) else None


def _wait_s(said: str, received_ms: int) -> float | None:
    """Return how long a limit that the sentence names lasts; None if it names none.

    The shortest period counts: the text about calls a second names the daily limit as well.
    """
    if _SECOND.search(said):
        return _PER_SECOND_S
    if _MINUTE.search(said):
        return PER_MINUTE_S
    if _DAY.search(said):
        # When the vendor's day begins is not documented. At 00:00 UTC at the latest one more call finds out.
        return until_next_day_s(received_ms)
    return PER_MINUTE_S if _LIMIT.search(said) else None
