"""Breaks it: fault models, sampling, injection and their statistics."""
