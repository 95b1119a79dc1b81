"""Spread an installation over another number of partitions: `python -m deploy.partitions 4`."""
