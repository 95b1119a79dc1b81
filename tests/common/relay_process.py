"""The relay stage as a process of its own: python -m tests.common.relay_process."""

from common.logs import configure_logging
from common.loop import run_stage
from common.settings import load_settings
from tests.common.relay import relay_spec

if __name__ == "__main__":
    settings = load_settings("relay-0")
    configure_logging("relay", settings)
    run_stage(relay_spec(batch_entries=7), settings)
