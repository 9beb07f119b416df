"""Protocols of measurement, carried out in the worker process."""
