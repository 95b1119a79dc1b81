"""The settings, read once from the environment and `.env`; `.env.example` gives each variable's meaning.

An attribute's name is its variable's name in lower case. The environment goes before `.env`; an empty value means the
default. Variables of the environment that are not ours are ignored; an unknown one in `.env` is an error.
"""

import difflib
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common.env_file import complaints
from common.errors import Fatal
from common.messages import TIMEFRAME_MS

ENV_FILE = ".env"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
LAST_PORT = 65_535
Port = Annotated[int, Field(ge=1, le=LAST_PORT)]
Share = Annotated[float, Field(gt=0, lt=1)]
NO_SECRET = SecretStr("")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
_PLACE = re.compile(r"(\[[0-9a-fA-F:]+\]|[0-9A-Za-z.-]+):(\d{1,5})")


class Settings(BaseSettings):
    """What an operator may set. Durations are in seconds."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, frozen=True, extra="forbid", validate_default=True
    )

    # Symbols and sources
    symbols: Annotated[tuple[str, ...], NoDecode] = ("NAS100", "XAUUSD", "EURUSD")
    symbols_file: Path | None = None
    """None: the table that comes with the project."""
    alphavantage_api_key: SecretStr = NO_SECRET
    twelvedata_api_key: SecretStr = NO_SECRET
    polygon_api_key: SecretStr = NO_SECRET
    polygon_host: str = ""
    polygon_stream_host: str = ""
    """Empty: the vendor's usual one, as for calls."""
    collection_interval: Positive = 1.0
    request_timeout: Positive = 2.0
    http_pool_size: Count = 10
    breaker_failures: Count = 5
    breaker_open_time: Positive = 60.0
    network_check: Annotated[tuple[str, ...], NoDecode] = ("1.1.1.1:443", "8.8.8.8:53", "9.9.9.9:53")
    """Empty: no check ("off")."""
    push: Literal["on", "off"] = "on"
    limits: Literal["real", "none"] = "real"
    simulator_url: str = ""

    # Judging, bars, features, signals
    indicators_file: Path | None = None
    """None: the plan that comes with the project."""
    strategies_file: Path | None = None
    """None: the strategies that come with the project."""
    reject_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    timeframes: Annotated[tuple[str, ...], NoDecode] = ("1s", "1m", "5m", "15m", "1h")
    lateness: NotNegative = 2.0
    max_bars_cache: Count = 5_000
    anchor_bars: Count = 1_000
    feature_cache_ttl: Positive = 2.0
    signal_expiry: Positive = 3.0
    default_equity: Positive = 1_000.0
    risk_per_trade: Share = 0.01
    account_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    account_leverage: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 30.0
    account_rules: str = "none"
    """A preset, or a file."""
    account_id: str = ""
    account_start_balance: NotNegative = 0.0
    """0: not given."""
    loss_cooldown: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 300.0
    """A day at most: a position lasts one, and is remembered for two."""
    margin_limit: Annotated[float, Field(gt=0, le=1)] = 0.5

    # Redis and storage
    redis_host: str = "localhost"
    redis_port: Port = 6379
    redis_db: Annotated[int, Field(ge=0)] = 0
    redis_password: SecretStr = NO_SECRET
    redis_pool_size: Count = 20
    stream_partitions: Count = 1
    stream_budget: Count = 1_000_000
    partitions: Annotated[tuple[int, ...], NoDecode] = ()
    """Those that this process serves: all of them unless set."""
    database_path: Path = Path("./data/vproptrader.db")
    batch_write_interval: Positive = 10.0
    state_dir: Path = Path("./data")

    # The api and the process itself
    api_host: str = "127.0.0.1"
    api_port: Port = 8000
    api_token: SecretStr = NO_SECRET
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    keep_cores_awake: bool = False
    supervisor_process_name: str = ""
    """Set by supervisord, not by an operator."""

    @property
    def simulated(self) -> bool:
        """Whether the vendors are simulated: then everything served says so."""
        return bool(self.simulator_url)

    @property
    def instance(self) -> str:
        """The process's stable name: supervisord's, else the one given to load_settings."""
        return self.supervisor_process_name

    def secrets(self) -> tuple[str, ...]:
        """Return the secret values that are set: what no log line may show."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(v.get_secret_value() for v in values if isinstance(v, SecretStr) and v.get_secret_value())

    @field_validator("symbols", "timeframes", "partitions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("network_check", mode="before")
    @classmethod
    def _places(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        places = () if value.strip().lower() == "off" else tuple(part.strip() for part in value.split(","))
        found = [_PLACE.fullmatch(place) for place in places]
        if not all(match is not None and 1 <= int(match[2]) <= LAST_PORT for match in found):
            raise ValueError("expected host:port, several of them separated by commas, or off")
        return places

    @field_validator("symbols", "timeframes", "partitions")
    @classmethod
    def _each_once(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(value)) < len(value):
            raise ValueError("expected each element once")
        return value

    @field_validator("symbols", "timeframes")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("expected at least one element")
        return value

    @field_validator("timeframes")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= TIMEFRAME_MS.keys():
            raise ValueError(f"expected some of {', '.join(TIMEFRAME_MS)}")
        return tuple(sorted(value, key=TIMEFRAME_MS.__getitem__))

    @field_validator("partitions")
    @classmethod
    def _served(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        every = range(info.data.get("stream_partitions", 1))
        if not set(value) <= set(every):
            raise ValueError(f"expected numbers from 0 to {every[-1]}, for STREAM_PARTITIONS={len(every)}")
        return value or tuple(every)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("alphavantage_api_key", "twelvedata_api_key", "polygon_api_key")
    @classmethod
    def _key(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value().strip()
        if not all("!" <= sign <= "~" for sign in key):  # no header can carry it, and its error would show it
            raise ValueError("expected letters, digits and signs of ASCII")
        return SecretStr(key)

    @field_validator("polygon_host", "polygon_stream_host")
    @classmethod
    def _host(cls, value: str) -> str:
        if value and not _HOST.fullmatch(value):
            raise ValueError("expected a host such as api.example.com")
        return value

    @field_validator("simulator_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("expected an http:// or https:// URL")
        return value.rstrip("/")

    @field_validator("api_token")
    @classmethod
    def _public_needs_token(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        host = str(info.data.get("api_host", "127.0.0.1"))
        if not value.get_secret_value() and not _is_loopback(host):
            raise ValueError(f"expected a token because API_HOST={host} is reachable from other machines")
        return value


def load_settings(name: str = "") -> Settings:
    """Return the settings. Fatal names every wrong variable, what was expected and what was found.

    name: the process's name where supervisord gives none (Settings.instance).
    """
    wrong = complaints(Path(ENV_FILE)) or _unknown_in_env_file()
    if wrong:
        raise Fatal("; ".join(wrong))
    try:
        settings = Settings()
    except ValidationError as e:
        # No `from e`: pydantic's text quotes the input, which may be a secret.
        raise Fatal("; ".join(_explain(error) for error in e.errors())) from None
    if settings.instance or not name:
        return settings
    return settings.model_copy(update={"supervisor_process_name": name})


def _unknown_in_env_file() -> list[str]:
    known = [name.upper() for name in Settings.model_fields]
    found = [name for name in dotenv_values(ENV_FILE) if name.upper() not in known]
    return [f"{name}: unknown variable in {ENV_FILE}{_did_you_mean(name.upper(), known)}" for name in found]


def _did_you_mean(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; see {ENV_FILE}.example for those that exist"


def _explain(error: ErrorDetails) -> str:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    field = Settings.model_fields.get(name)
    secret = field is not None and field.annotation is SecretStr
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
    hidden = "something else" if error["input"] else "nothing"
    return f"{name.upper()}: {text}, found {hidden if secret else repr(error['input'])}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
