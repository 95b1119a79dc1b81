# Every target sets itself up: the first one that needs it makes .venv from the lock files, the others find it.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PIP = $(PY) -m pip install --quiet --disable-pip-version-check
PACKAGES := collector validator storer features api common simulator deploy bench replay backtest

# Options of the demo, as in: make demo SPEED=60 DATA="gold.csv.gz silver.csv.gz" LIMITS=real INTERVAL=0.5
DATA ?=
SPEED ?=
LIMITS ?=
INTERVAL ?=
START ?=
SEED ?=
# 1: the demo, 0: live; empty: whichever runs
DEMO ?=
# Words for supervisorctl or Redis, as one line; through the environment, so that no shell touches a * or >
CMD ?=
export CMD
# A stored period, as in: make replay FROM=2026-06-10T14:30:00Z TO=2026-06-10T16:00:00Z ONLY=EURUSD LEAD_IN=2h
FROM ?=
TO ?=
LEAD_IN ?=
ONLY ?=
# Recorded bars, as in: make backtest FILES="EURUSD_M5.csv.gz XAUUSD_M5.csv.gz" SPREAD=1 SLIPPAGE=0.2 HTML=report.html
FILES ?=
SPREAD ?=
SLIPPAGE ?=
SPLITS ?=
WALK ?=
HTML ?=
# A backup, as in: make restore FILE=data/backups/live-20260610T143000Z.tar.gz
FILE ?=
KEEP ?=
N ?=
STAGE ?=
# Of one function, as in: make indicators NAME=RSI. Never the environment's: some systems keep their own name there
NAME =
WHY ?=
export WHY
SOURCE ?=
STATE ?=
TESTS ?= tests
CHAOS_OPTIONS ?= -n 0
# Of a soak: simulated seconds, and where the figures go, as in: make soak CYCLES=20000 PAGE=1
CYCLES ?=
PAGE ?=
PYTEST_OPTIONS ?= -n 2 --dist worksteal

DEMO_OPTIONS = $(if $(DATA),--data "$(DATA)") $(if $(SPEED),--speed $(SPEED)) $(if $(LIMITS),--limits $(LIMITS)) \
	$(if $(INTERVAL),--interval $(INTERVAL)) $(if $(START),--start "$(START)") $(if $(SEED),--seed $(SEED))
WHICH = $(if $(DEMO),--demo $(DEMO))

help: ## show the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## play against simulated vendors until Ctrl-C (DATA= SPEED= LIMITS= INTERVAL= START= SEED=)
	@$(PY) -m deploy.launch demo $(DEMO_OPTIONS)

run: $(RUNTIME) ## run against the real vendors until Ctrl-C (settings: .env)
	@$(PY) -m deploy.launch run

start: $(RUNTIME) ## the same as run, in the background
	@$(PY) -m deploy.launch start

start-demo: $(RUNTIME) ## the same as demo, in the background
	@$(PY) -m deploy.launch start-demo $(DEMO_OPTIONS)

stop: $(RUNTIME) ## stop what runs in the background (DEMO=1 or DEMO=0 if both do)
	@$(PY) -m deploy.launch stop $(WHICH)

status: $(RUNTIME) ## what runs, and how it is
	@$(PY) -m deploy.launch status $(WHICH)

logs: $(RUNTIME) ## follow all logs until Ctrl-C
	@$(PY) -m deploy.launch logs $(WHICH)

ctl: $(RUNTIME) ## talk to supervisord, as in: make ctl CMD='restart validator'
	@$(PY) -m deploy.launch ctl $(WHICH) --line "$$CMD"

redis: $(RUNTIME) ## ask Redis, as in: make redis CMD='XINFO GROUPS {0}:raw'
	@$(PY) -m deploy.redis_cli $(WHICH) --line "$$CMD"

breaker: $(RUNTIME) ## force a source's breaker, or set it free (SOURCE= STATE=open|closed|auto WHY='...')
	@$(PY) -m deploy.breaker $(WHICH) --why "$$WHY" "$(SOURCE)" "$(STATE)"

backup: $(RUNTIME) ## copy everything stored into STATE_DIR/backups, while it runs, and prove it (KEEP=7)
	@$(PY) -m deploy.backup make $(WHICH) $(if $(KEEP),--keep $(KEEP))

restore: $(RUNTIME) ## put a backup back, and keep what was there aside (FILE=...)
	@$(PY) -m deploy.backup restore $(WHICH) "$(FILE)"

replay: $(RUNTIME) ## run a stored period through the stages again and compare (FROM= TO= ONLY= LEAD_IN=2h)
	@$(PY) -m replay $(WHICH) --from "$(FROM)" --to "$(TO)" --symbols "$(ONLY)" --lead-in "$(LEAD_IN)"

backtest: $(RUNTIME) ## run the strategies over recorded bars, with costs, beside chance (FILES= SPREAD= SLIPPAGE= SPLITS= WALK= HTML=)
	@$(PY) -m backtest $(if $(SPREAD),--spread $(SPREAD)) $(if $(SLIPPAGE),--slippage $(SLIPPAGE)) \
		$(if $(SPLITS),--splits $(SPLITS)) $(if $(WALK),--walk $(WALK)) $(if $(HTML),--html "$(HTML)") $(FILES)

partitions: $(RUNTIME) ## spread the stopped pipeline's data over another number of partitions (N=4)
	@$(PY) -m deploy.partitions "$(N)"

retire: $(RUNTIME) ## keep no more entries for a stage that will not come back (STAGE=features WHY='...')
	@$(PY) -m deploy.retire $(WHICH) "$(STAGE)" --why "$(WHY)"

indicators: $(RUNTIME) ## list all functions that indicators can be made of, and the plan in use (NAME=RSI for one)
	@$(PY) -m deploy.indicators $(NAME)

test: $(DEV) ## run all tests (TESTS=tests/common for a part)
	@$(PY) -m pytest $(TESTS) $(PYTEST_OPTIONS)

coverage: $(DEV) ## the same, and which lines ran: takes twice as long
	@$(PY) -m pytest $(TESTS) $(PYTEST_OPTIONS) --cov --cov-report=term

test-long: $(DEV) ## run the long tests, as a whole recorded trading day with and without kills, and properties on all examples
	@TEST_EXAMPLES=all $(PY) -m pytest -m "long or hypothesis" -s --no-cov -n 0 tests

chaos: $(DEV) ## provoke every fault of docs/faults.md, and print what was promised and what came of it (TESTS=)
	@$(PY) -m pytest -m chaos -p tests.chaos.report --no-cov $(CHAOS_OPTIONS) $(TESTS)

chaos-page: $(DEV) ## the same, and write what was measured into docs/faults.md
	@$(PY) -m pytest -m chaos -p tests.chaos.report --fault-page --no-cov $(CHAOS_OPTIONS) $(TESTS)

soak: $(DEV) ## play a simulated day at high speed with faults, and show what grows (CYCLES=20000 PAGE=1; half an hour)
	@$(PY) -m tests.chaos.soak $(if $(CYCLES),--cycles $(CYCLES)) $(if $(PAGE),--page)

lint: $(DEV) ## check style, format, types and import rules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

format: $(DEV) ## put the code into the project's format
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

bench: $(DEV) ## measure, side by side with peers (CMD=name for one)
	@$(PY) -m bench $(CMD)

indicators-page: $(DEV) ## compare every function with TA-Lib on real bars, measure it, and write docs/indicators.md
	@$(PY) -m bench.indicators_page

sessions: $(DEV) ## make the table of holidays anew, from exchange_calendars
	@$(PY) -m common.sessions.make_table

lock: $(DEV) ## choose the newest versions anew and write the lock files (needs network)
	$(PY) -m deploy.lock

clean: ## delete what can be made again: .venv, caches, the demo's data
	rm -rf $(VENV) build *.egg-info data-demo .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last, so that a set-up that was cut off begins anew. A newer lock file makes .venv anew, too.
$(RUNTIME): requirements.lock
	@echo "setting up $(VENV) (once; a minute or so) ..."
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then chosen=$$python; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "expected Python 3.11 or newer as python3, found $$(python3 --version 2>&1); or set PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	"$$chosen" -m venv --clear $(VENV) || { echo "python's venv module is needed; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "adding the tools for tests and checks ..."
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: help demo run start start-demo stop status logs ctl redis breaker backup restore replay backtest partitions retire indicators test coverage test-long chaos chaos-page soak lint format bench indicators-page sessions lock clean
