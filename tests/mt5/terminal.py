"""A MetaTrader for tests: the expert advisor of docs/mt5, translated to C++ and compiled, over a broker of its own.

MQL5 is near to C++: arrays are written otherwise, functions need no declaration before their use, and inputs are
globals. Those are the whole translation; mql5.h has the functions.
"""

import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "docs" / "mt5"
HERE = Path(__file__).parent
MAIN = "MarketData.mq5"
COMPILER = shutil.which("g++") or shutil.which("clang++")

SYMBOL = (
    "BID", "ASK", "POINT", "TRADE_STOPS_LEVEL", "VOLUME_MIN", "VOLUME_MAX", "VOLUME_STEP", "TRADE_CONTRACT_SIZE",
    "TRADE_TICK_SIZE", "TRADE_TICK_VALUE", "DIGITS", "CURRENCY_PROFIT", "FILLING_MODE",
)  # fmt: skip
"""In the order of the enum in mql5.h."""
ACCOUNT = ("EQUITY", "BALANCE", "MARGIN_FREE", "TRADE_MODE")
REASONS = {"MANUAL": 0, "SL": 4, "TP": 5}


def sources() -> dict[str, str]:
    """Return the text of each source file by its name."""
    return {path.name: path.read_text("ascii") for path in sorted(SOURCE.glob("*.mq?"))}


def translated(text: str) -> str:
    """Return MQL5 as C++ that includes mql5.h."""
    text = re.sub(r"^#property.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\b(const )?(\w+) +&(\w+)\[\]", r"\1std::vector<\2> &\3", text)
    return re.sub(r"^(\s*)(\w+)(\s+)(\w+)\[\];", r"\1std::vector<\2>\3\4;", text, flags=re.MULTILINE)


def declarations(text: str) -> str:
    """Return a declaration of every free function."""
    heads = re.findall(r"^(?:void|bool|int|string|Market) +\w+\([^)]*\)(?=\n\{)", text, re.MULTILINE)
    return "".join(f"{head};\n" for head in heads)


def inputs(text: str) -> dict[str, str]:
    """Return the type of each input by its name."""
    return {name: kind for kind, name in re.findall(r"^input (\w+) +(\w+) =", text, re.MULTILINE)}


def setter(names: dict[str, str]) -> str:
    """Return a function that sets inputs."""
    values = {"string": "text", "bool": 'text == "true"', "int": "std::stoi(text)", "long": "std::stol(text)",
              "double": "std::stod(text)"}  # fmt: skip
    lines = "".join(f'   if(name == "{name}") {name} = {values[kind]};\n' for name, kind in names.items())
    return "void set_input(const string &name, const string &text)\n{\n" + lines + "}\n"


def compiled(folder: Path) -> Path:
    """Translate and compile; return the program. Warnings are errors."""
    assert COMPILER is not None
    files = sources()
    for name, text in files.items():
        (folder / name).write_text(translated(text))
    main = translated(files[MAIN])
    head, _, body = main.partition("int OnInit()")
    reports = translated(files["Reports.mqh"])
    known = declarations("int OnInit()" + body) + declarations(reports)
    program = f'#include "mql5.h"\n{head}{known}int OnInit(){body}\n{setter(inputs(files[MAIN]))}#include "main.h"\n'
    (folder / "program.cpp").write_text(program)
    command = [COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", f"-I{HERE}",
               f"-I{folder}", "-o", str(folder / "program"), str(folder / "program.cpp")]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "program"


@dataclass(frozen=True)
class Asked:
    """One request of the advisor."""

    method: str
    path: str
    headers: str
    body: str


Server = Callable[[Asked], Awaitable[tuple[int, int, str]]]
"""Gives HTTP status, how many milliseconds it took, and the body."""


@dataclass
class Terminal:
    """A running advisor. Commands are answered by the lines that they led to."""

    process: "subprocess.Popen[str]"
    server: Server = field(default_factory=lambda: _nobody)
    asked: list[Asked] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)

    async def tell(self, line: str) -> list[str]:
        """Give a command; answer the requests that it leads to; return the other lines."""
        stdin, stdout = _pipes(self.process)
        stdin.write(line + "\n")
        stdin.flush()
        lines: list[str] = []
        while (answer := stdout.readline().rstrip("\n")) != "done":
            assert answer or self.process.poll() is None, f"ended at: {line}"
            if answer.startswith("ask "):
                await self._ask(answer, stdin)
            else:
                lines.append(answer)
        self.said += [text for text in lines if text.startswith(("said ", "alert "))]
        self.orders += [text for text in lines if text.startswith("order ")]
        return lines

    async def timers(self, count: int) -> None:
        """Let seconds pass, each with its timer."""
        for _ in range(count):
            await self.tell("pass 1000")
            await self.tell("timer")

    async def symbol(self, name: str, values: Mapping[str, float]) -> None:
        """Set properties of a symbol that is quoted in dollars, as in {"BID": 1.0}."""
        await self.tell(f"currency {name} USD")
        for key, value in values.items():
            await self.tell(f"symbol {name} {SYMBOL.index(key)} {value!r}")

    async def account(self, **values: float) -> None:
        """Set the account's figures, as in EQUITY=1000."""
        for key, value in values.items():
            await self.tell(f"account {ACCOUNT.index(key)} {value!r}")

    def stop(self) -> None:
        """End the process."""
        stdin, stdout = _pipes(self.process)
        stdin.close()
        self.process.wait(timeout=10)
        stdout.close()

    async def _ask(self, line: str, stdin: IO[str]) -> None:
        where, headers, body = line.split("\t")
        _, method, url, _timeout = where.split(" ")
        asked = Asked(method, url.removeprefix("http://127.0.0.1:8000"), headers, body)
        self.asked.append(asked)
        status, passed_ms, text = await self.server(asked)
        stdin.write(f"{status} {passed_ms} {text}\n")
        stdin.flush()


def start(program: Path) -> Terminal:
    """Return a terminal that hasn't begun yet; without a server nothing is answered."""
    process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return Terminal(process)


async def _nobody(_asked: Asked) -> tuple[int, int, str]:
    return -1, 0, ""


def _pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
