"""Who does it: registry, queue, scheduling, artifacts, store and the client that everything uses."""
