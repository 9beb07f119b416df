"""Classes of devices: what a board is called, what it tells of itself, and what is worth reading on it."""
