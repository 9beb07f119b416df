"""Recorded tables in the place of devices: a search is developed and compared in seconds.

Everything that comes out of a table is labelled as replayed. See docs/replay.md.
"""
