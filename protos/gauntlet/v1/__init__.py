"""Messages and services of gauntlet.v1 (generated; see tools/generate_protos.py)."""
