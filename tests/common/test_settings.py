"""The settings: defaults, sources, and errors that name the variable."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from common.errors import Fatal
from common.settings import Settings, load_settings

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"
NO_SUCH = (
    "${...} stands for a variable, and there is none of that name; a value with these signs in it"
    " can come from the environment alone"
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours, and an empty folder to read `.env` from."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_example_has_every_variable_once_and_nothing_else() -> None:
    lines = [line.split("=")[0] for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    assert sorted(lines) == sorted(name.upper() for name in Settings.model_fields)


def test_example_states_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for name, value in dotenv_values(EXAMPLE).items():
        monkeypatch.setenv(name, value or "")
    assert load_settings() == defaults


def test_example_says_what_each_group_of_variables_means() -> None:
    lines = EXAMPLE.read_text().splitlines()
    alone = [b for a, b in pairwise(lines) if not a and b and not b.startswith("#")]
    assert alone == []


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert settings.symbols == ("NAS100", "XAUUSD", "EURUSD")
    assert settings.timeframes == ("1s", "1m", "5m", "15m", "1h")
    assert (settings.collection_interval, settings.max_bars_cache, settings.batch_write_interval) == (1.0, 5000, 10.0)
    assert (settings.feature_cache_ttl, settings.redis_pool_size, settings.http_pool_size) == (2.0, 20, 10)
    assert (settings.redis_host, settings.redis_port, settings.redis_db) == ("localhost", 6379, 0)
    assert settings.database_path == Path("./data/vproptrader.db")
    assert (settings.partitions, settings.simulated, settings.secrets()) == ((0,), False, ())


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMBOLS", "EURUSD, GBPUSD")
    monkeypatch.setenv("TIMEFRAMES", "1h,1s")
    monkeypatch.setenv("STREAM_PARTITIONS", "4")
    monkeypatch.setenv("PARTITIONS", "0,2")
    settings = load_settings()
    assert settings.symbols == ("EURUSD", "GBPUSD")
    assert settings.timeframes == ("1s", "1h")
    assert settings.partitions == (0, 2)


def test_all_partitions_are_served_unless_some_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_PARTITIONS", "3")
    assert load_settings().partitions == (0, 1, 2)


def test_environment_goes_before_the_file_and_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("REDIS_PORT=7000\nREDIS_HOST=a\nLATENESS=\nPOLYGON_API_KEY=\n")
    monkeypatch.setenv("REDIS_HOST", "b")
    settings = load_settings()
    assert (settings.redis_port, settings.redis_host, settings.lateness) == (7000, "b", 2.0)


def test_foreign_variables_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEBREW_PREFIX", "/opt")
    load_settings()


def test_unknown_variable_in_the_file_is_fatal_and_the_near_one_is_named() -> None:
    Path(".env").write_text("REDIS_PROT=7000\nPOLYGON_KEY=hunter2\nZZZ=\n")
    with pytest.raises(Fatal) as raised:
        load_settings()
    text = str(raised.value)
    assert "REDIS_PROT: unknown variable in .env; did you mean REDIS_PORT?" in text
    assert "POLYGON_KEY: unknown variable" in text
    assert "ZZZ: unknown variable in .env; see .env.example" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('REDIS_PASSWORD="hunter2', "REDIS_PASSWORD: line 2 of .env can't be read: is a quote not closed?"),
        ("hunter2 is it", "line 2 of .env can't be read: expected NAME=value"),
        ("REDIS_PASSWORD", "REDIS_PASSWORD: line 2 of .env: expected REDIS_PASSWORD=value"),
        ("REDIS_PASSWORD='a${hunter2}b'", f"REDIS_PASSWORD: line 2 of .env: {NO_SUCH}"),
    ],
)
def test_a_line_of_the_file_that_says_nothing_is_fatal_and_not_told(line: str, complaint: str) -> None:
    Path(".env").write_text(f"# ours\n{line}\nREDIS_PORT=7000\n")
    with pytest.raises(Fatal) as raised:
        load_settings()
    assert str(raised.value) == complaint


def test_a_value_of_the_file_may_hold_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/srv")
    Path(".env").write_text(
        "REDIS_HOST=here\nDATABASE_PATH=${WHERE}/${REDIS_HOST}/${NONE:-x}.db\nREDIS_PASSWORD='a$b'\n"
    )
    settings = load_settings()
    assert settings.database_path == Path("/srv/here/x.db")
    assert settings.redis_password.get_secret_value() == "a$b"


@pytest.mark.parametrize(("body", "complaint"), [(b"REDIS_HOST=\xff\n", "expected UTF-8"), (None, "Permission denied")])
def test_a_file_that_can_not_be_read_is_fatal(
    body: bytes | None, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_bytes(body or b"")
    if body is None:

        def refuse(*_: object, **__: object) -> str:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Fatal, match=rf"\.env: .*{complaint}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_BARS_CACHE", "0", "greater than or equal to 1"),
        ("MAX_BARS_CACHE", "many", "valid integer"),
        ("COLLECTION_INTERVAL", "0", "greater than 0"),
        ("COLLECTION_INTERVAL", "inf", "finite"),
        ("COLLECTION_INTERVAL", "nan", "finite"),
        ("REDIS_PORT", "70000", "65535"),
        ("STREAM_PARTITIONS", "0", "greater than or equal to 1"),
        ("LIMITS", "off", "'real' or 'none'"),
        ("NETWORK_CHECK", "1.1.1.1", "host:port"),
        ("NETWORK_CHECK", "1.1.1.1:53,", "host:port"),
        ("NETWORK_CHECK", "1.1.1.1:70000", "host:port"),
        ("LOG_LEVEL", "LOUD", "'DEBUG'"),
        ("TIMEFRAMES", "1m,2m", "1s, 1m, 5m, 15m, 1h"),
        ("TIMEFRAMES", "1m,1m", "each element once"),
        ("SYMBOLS", ",", "at least one"),
        ("PARTITIONS", "0,2", "from 0 to 0, for STREAM_PARTITIONS=1"),
        ("PARTITIONS", "x", "valid integer"),
        ("REJECT_SCORE", "1.5", "less than or equal to 1"),
        ("RISK_PER_TRADE", "1", "less than 1"),
        ("ACCOUNT_CURRENCY", "usd", "^[A-Z]{3}$"),
        ("ACCOUNT_LEVERAGE", "0", "greater than or equal to 1"),
        ("MARGIN_LIMIT", "1.5", "less than or equal to 1"),
        ("ACCOUNT_START_BALANCE", "nan", "finite"),
        ("LOSS_COOLDOWN", "-1", "greater than or equal to 0"),
        ("LOSS_COOLDOWN", "86401", "less than or equal to 86400"),
        ("SIMULATOR_URL", "localhost:9", "http://"),
    ],
)
def test_bad_value_is_fatal_and_names_variable_expectation_and_finding(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Fatal) as raised:
        load_settings()
    assert str(raised.value).startswith(f"{name}: ")
    assert expected in str(raised.value)
    assert value.strip(",") in str(raised.value)


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "0")
    monkeypatch.setenv("LATENESS", "-1")
    with pytest.raises(Fatal, match=r"LATENESS: .*API_PORT: "):
        load_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "trading-box"])
def test_public_api_host_needs_a_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("API_HOST", host)
    with pytest.raises(Fatal, match=r"^API_TOKEN: .*API_HOST"):
        load_settings()
    monkeypatch.setenv("API_TOKEN", "secret")
    assert load_settings().api_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_local_api_host_needs_no_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("API_HOST", host)
    assert load_settings().api_host == host


def test_secrets_never_show_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", "hunter2")
    settings = load_settings()
    assert settings.polygon_api_key == SecretStr("hunter2")
    assert settings.secrets() == ("hunter2",)
    assert "hunter2" not in repr(settings) + str(settings)


VENDOR_KEYS = ["ALPHAVANTAGE_API_KEY", "TWELVEDATA_API_KEY", "POLYGON_API_KEY"]


@pytest.mark.parametrize("variable", VENDOR_KEYS)
def test_what_stands_around_a_vendors_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, " hunter2\u00a0\n")  # out of a file with a line end, or off a web page
    assert load_settings().secrets() == ("hunter2",)
    monkeypatch.setenv(variable, "\n")
    assert load_settings().secrets() == ()


@pytest.mark.parametrize("variable", VENDOR_KEYS)
@pytest.mark.parametrize("key", ["hun\u00a0ter2", "hun ter2", "\u201chunter2\u201d", "hunter2\nx", "\ufeffhunter2"])
def test_a_vendors_key_that_no_header_can_carry_is_fatal_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, key: str
) -> None:
    monkeypatch.setenv(variable, key)
    with pytest.raises(Fatal) as caught:
        load_settings()
    assert str(caught.value) == f"{variable}: expected letters, digits and signs of ASCII, found something else"


def test_simulator_url_makes_the_pipeline_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_URL", "http://127.0.0.1:9000/")
    settings = load_settings()
    assert (settings.simulated, settings.simulator_url) == (True, "http://127.0.0.1:9000")


def test_instance_is_the_supervisors_name_else_the_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings("validator").instance == "validator"
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "validator_02")
    assert load_settings("validator").instance == "validator_02"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().redis_port = 1
