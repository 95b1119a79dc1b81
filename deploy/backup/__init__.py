"""Copies of everything that an installation has stored, and the way back: `python -m deploy.backup make|restore`."""
