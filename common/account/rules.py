"""An account's rules as data: a preset of a known firm, or the user's own file, which may begin from a preset."""

import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from common.errors import Fatal
from common.toml_file import read_text, tables

PRESETS = Path(__file__).with_name("presets.toml")
NONE = "none"

Share = Annotated[float, Field(gt=0, le=1)]


def _time_of_day(value: object) -> object:
    """Refuse a bare number: it would be taken for seconds after midnight."""
    if isinstance(value, time | str):
        return value
    raise ValueError('expected a time of day such as "21:00"')


def _of_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("expected a time of day in `zone`, without an offset of its own")
    return value


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), AfterValidator(_of_zone)]
Windows = tuple[tuple[TimeOfDay, TimeOfDay], ...]


class AccountRules(BaseModel):
    """What a firm or the owner forbids. Shares are of the start balance; None: there is no such rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    source: str = ""
    """Where the firm says so."""
    read_on: str = ""
    zone: str = "UTC"
    """In which all times of day here are."""
    reset: TimeOfDay = time(0)
    """When the firm's day begins."""
    daily_loss: Share | None = None
    """Below the anchor: what was there when the day began."""
    daily_loss_of: Literal["start", "anchor"] = "start"
    """What the share of the daily loss is taken of."""
    daily_anchor: Literal["balance", "equity", "higher"] = "higher"
    total_loss: Share | None = None
    trailing_loss: Share | None = None
    """Below the highest so far."""
    trailing_of: Literal["equity", "balance", "day_end_balance"] = "equity"
    trailing_stops_at_start: bool = False
    """Whether the limit stands still once it has come up to the start balance."""
    profit_cap: Share | None = None
    daily_profit_cap: Share | None = None
    max_positions: Annotated[int, Field(ge=1)] | None = None
    sessions: Windows = ()
    """When orders may be placed; empty: always. A window may pass midnight."""
    flat_times: Windows = ()
    """When the account must be flat: no order is advised."""
    weekend_from: TimeOfDay | None = None
    """On Fridays; until Monday's midnight nothing is advised."""
    room_share: Share = 0.5
    """How much of what is left to the nearest limit one trade may risk."""

    @field_validator("sessions", "flat_times", mode="before")
    @classmethod
    def _windows(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return tuple(part.split("-") if isinstance(part, str) else part for part in value)

    @field_validator("sessions", "flat_times")
    @classmethod
    def _hold_for_a_while(cls, value: Windows) -> Windows:
        if any(begin == end for begin, end in value):
            raise ValueError("expected windows that end at another time than they begin")
        return value

    @field_validator("zone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as e:
            raise ValueError("expected a time zone such as Europe/Prague") from e
        return value


def load_rules(name: str) -> AccountRules | None:
    """Return the rules of a preset or a file; None for "none". Fatal says what is wrong, and names the presets."""
    if name == NONE:
        return None
    presets = tomllib.loads(PRESETS.read_text())
    if name in presets:
        return _checked(name, presets[name])
    file = Path(name)
    if not file.is_file():
        raise Fatal(f"ACCOUNT_RULES: expected none, {', '.join(presets)} or a file, found {name!r}")
    own = tables("ACCOUNT_RULES", name, read_text("ACCOUNT_RULES", file))
    base = own.pop("preset", None)
    if base is not None and base not in presets:
        raise Fatal(f"ACCOUNT_RULES: {name}: preset: expected one of {', '.join(presets)}, found {base!r}")
    return _checked(name, {**presets.get(base, {}), **own})


def _checked(name: str, content: Mapping[str, object]) -> AccountRules:
    try:
        return AccountRules.model_validate(content)
    except ValidationError as e:
        raise Fatal(f"ACCOUNT_RULES: {name}: {e}") from e
