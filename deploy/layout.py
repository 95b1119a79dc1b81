"""Where an installation lives: its folders, ports and programs. Live and demo share nothing."""

import hashlib
import os
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from common.errors import Fatal
from common.settings import Settings, load_settings
from common.symbols import load_symbols
from common.symbols.table import BUILTIN
from deploy import awake

Mode = Literal["live", "demo"]
Environment = Mapping[str, str]

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("storer", "features", "validator", "collector", "api")
SOCKET_PATH_LIMIT = 90  # the kernel takes 107 bytes; supervisord adds a dot and its pid
LOOPBACK = "127.0.0.1"
DEMO_PORTS = {"DEMO_API_PORT": 8010, "DEMO_SIMULATOR_PORT": 8020, "DEMO_REDIS_PORT": 6390}
KEPT_IN_DEMO = ("LOG_LEVEL",)


@dataclass(frozen=True)
class Folders:
    """The folders of one installation; enough to control one that runs."""

    mode: Mode
    data: Path

    @property
    def run(self) -> Path:
        return self.data / "run"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def redis(self) -> Path:
        return self.data / "redis"

    @property
    def note(self) -> Path:
        """What was started, and where it listens (deploy/supervise.py)."""
        return self.run / "installation.json"

    @property
    def socket(self) -> Path:
        """The control socket: in the run folder, or, where that path is too long for a socket, in a short one."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        short = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"market-data-{os.getuid()}-{short}" / "supervisor.sock"


@dataclass(frozen=True)
class Address:
    """A port of this project, and the variables that move it."""

    host: str
    port: int
    host_variable: str
    port_variable: str

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def variables(self) -> str:
        return ", ".join(filter(None, (self.host_variable, self.port_variable)))


@dataclass(frozen=True)
class RedisPlace:
    """The Redis of an installation."""

    address: Address
    db: int
    password: str = field(repr=False)


@dataclass(frozen=True)
class DemoOptions:
    """What may be chosen for a demo."""

    speed: float = 1.0
    """Simulated seconds per real second; 0: as fast as the stages follow."""
    interval_s: float = 1.0
    limits: Literal["none", "real"] = "none"
    paths: tuple[Path, ...] = ()
    """Price histories to play; none: the simulator makes its own prices."""
    start: str = ""
    """ISO 8601 time at which the simulation begins; empty: the simulator's choice."""
    seed: int = 42


@dataclass(frozen=True)
class Layout:
    """All that a start needs to know."""

    folders: Folders
    home: Path
    """Where the processes run. A live one finds its `.env` there."""
    api: Address
    redis: RedisPlace
    partitions: tuple[int, ...]
    environment: Environment = field(repr=False)
    simulator: Address | None = None
    simulator_arguments: tuple[str, ...] = ()
    awake_cores: int = 0
    """How many cores are kept awake (deploy/awake.py)."""

    @property
    def api_url(self) -> str:
        host = LOOPBACK if self.api.host in ("0.0.0.0", "::", "") else self.api.host  # noqa: S104  # compared, not bound
        return f"http://[{host}]:{self.api.port}" if ":" in host else f"http://{host}:{self.api.port}"

    def supervised_environment(self, redis_binary: Path | None) -> dict[str, str]:
        """Return the environment of supervisord and all that it starts. redis_binary None: Redis is not ours to run."""
        first, count = self.partitions[0], len(self.partitions)
        if self.partitions != tuple(range(first, first + count)):
            raise Fatal(f"PARTITIONS: expected consecutive numbers for one supervised host, found {self.partitions}")
        beside = {"redis": redis_binary, "simulator": self.simulator, "awake": self.awake_cores}
        programs = [*(name for name, wanted in beside.items() if wanted), *STAGES]
        return {
            **self.environment,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), self.environment.get("PYTHONPATH", "")))),
            "PYTHONUNBUFFERED": "1",
            "MD_RUN": str(self.folders.run),
            "MD_LOGS": str(self.folders.logs),
            "MD_SOCKET": str(self.folders.socket),
            "MD_PYTHON": sys.executable,
            "MD_PROGRAMS": " ".join(f"programs/{name}.conf" for name in programs),
            "MD_PARTITION_FIRST": str(first),
            "MD_PARTITION_COUNT": str(count),
            "MD_REDIS_BINARY": str(redis_binary or ""),
            "MD_CORES": str(self.awake_cores),
            "MD_SIMULATOR_ARGS": shlex.join(self.simulator_arguments),
        }


def live_folders(home: Path) -> Folders:
    """Return the folders of the live installation; with settings that are wrong, those of the defaults."""
    try:
        data = load_settings().state_dir
    except Fatal:
        data = Path("data")
    return Folders("live", (home / data).resolve())


def demo_folders(home: Path) -> Folders:
    """Return the folders of the demo."""
    return Folders("demo", (home / "data-demo").resolve())


def live_layout(home: Path, environment: Environment) -> Layout:
    """Return the layout that the settings ask for. Fatal names a setting that is wrong."""
    settings = load_settings()
    load_symbols(settings.symbols, settings.symbols_file)
    redis = Address(settings.redis_host, settings.redis_port, "REDIS_HOST", "REDIS_PORT")
    return Layout(
        folders=Folders("live", (home / settings.state_dir).resolve()),
        home=home,
        api=Address(settings.api_host, settings.api_port, "API_HOST", "API_PORT"),
        redis=RedisPlace(redis, settings.redis_db, settings.redis_password.get_secret_value()),
        partitions=settings.partitions,
        environment=environment,
        awake_cores=_awake_cores(settings),
    )


def _awake_cores(settings: Settings) -> int:
    if not settings.keep_cores_awake:
        return 0
    awake.refuse_limited()
    return len(awake.cores())


def demo_layout(home: Path, environment: Environment, options: DemoOptions) -> Layout:
    """Return the layout of a demo: loopback, its own ports and folder, and nothing of the live settings."""
    _check(home, environment, options)
    folders = demo_folders(home)
    api, simulator, redis = (_demo_address(environment, name) for name in DEMO_PORTS)
    return Layout(
        folders=folders,
        home=folders.data,
        api=api,
        redis=RedisPlace(redis, 0, ""),
        partitions=(0,),
        environment=_demo_environment(environment, folders, options, (api, simulator, redis)),
        simulator=simulator,
        simulator_arguments=_simulator_arguments(home, simulator.port, options),
    )


def _check(home: Path, environment: Environment, options: DemoOptions) -> None:
    """Fatal where the simulator or a stage could not start: it would say so in its log only."""
    levels = get_args(Settings.model_fields["log_level"].annotation)
    level = environment.get("LOG_LEVEL", "")
    if level and level.upper() not in levels:
        raise Fatal(f"LOG_LEVEL: expected one of {', '.join(levels)}, found {level!r}")
    if not 0 <= options.speed < float("inf"):
        raise Fatal(f"SPEED: expected 0 (as fast as possible) or more, found {options.speed:g}")
    if not 0 < options.interval_s < float("inf"):
        raise Fatal(f"INTERVAL: expected seconds above 0, found {options.interval_s:g}")
    for path in options.paths:
        if not _is_data(home / path):
            raise Fatal(f"DATA: expected a folder or a .csv or .csv.gz file named SYMBOL_*, found {str(path)!r}")
    if options.start:
        try:
            datetime.fromisoformat(options.start)
        except ValueError as e:
            raise Fatal(f"START: expected a time such as 2026-06-10T14:30:00Z, found {options.start!r}") from e


def _is_data(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.name.endswith((".csv", ".csv.gz")) and "_" in path.name)


def _demo_address(environment: Environment, variable: str) -> Address:
    text = environment.get(variable) or str(DEMO_PORTS[variable])
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65_535:
        raise Fatal(f"{variable}: expected a port from 1 to 65535, found {text!r}")
    return Address(LOOPBACK, int(text), "", variable)


def _demo_environment(
    environment: Environment, folders: Folders, options: DemoOptions, addresses: tuple[Address, Address, Address]
) -> dict[str, str]:
    api, simulator, redis = addresses
    ours = {name.upper() for name in Settings.model_fields} - set(KEPT_IN_DEMO)
    symbols = tomllib.loads(BUILTIN.read_text())["symbol"]
    return {name: value for name, value in environment.items() if name.upper() not in ours} | {
        "SIMULATOR_URL": f"http://{simulator.where}",
        "LIMITS": options.limits,
        "SYMBOLS": ",".join(symbols),
        "COLLECTION_INTERVAL": str(options.interval_s),
        "ALPHAVANTAGE_API_KEY": "demo-alphavantage",
        "TWELVEDATA_API_KEY": "demo-twelvedata",
        "POLYGON_API_KEY": "demo-polygon",
        "REDIS_HOST": redis.host,
        "REDIS_PORT": str(redis.port),
        "API_HOST": api.host,
        "API_PORT": str(api.port),
        "DATABASE_PATH": str(folders.data / "demo.db"),
        "STATE_DIR": str(folders.data),
    }


def _simulator_arguments(home: Path, port: int, options: DemoOptions) -> tuple[str, ...]:
    data = ("--data", *(str((home / path).resolve()) for path in options.paths)) if options.paths else ()
    start = ("--start", options.start) if options.start else ()
    return (
        "--port", str(port), "--speed", f"{options.speed:g}", "--seed", str(options.seed),
        "--interval", f"{options.interval_s:g}", "--limits", options.limits, *data, *start,
    )  # fmt: skip
