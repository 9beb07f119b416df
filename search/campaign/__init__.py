"""Campaigns: a YAML file, the loop that carries it out, its run folder and its winners."""
