"""Does it: session with the orchestrator, isolated worker, runtimes, measurement. Base install only."""
