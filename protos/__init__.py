"""The contract between orchestrator, agents and clients: `.proto` files and the stubs generated from them."""
