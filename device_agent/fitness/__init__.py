"""Is this device what it was? A small reference model, measured now and then, tells."""
