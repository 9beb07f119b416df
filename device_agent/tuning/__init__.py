"""Put the device into a wanted state for a timed window, and always back: governor, clocks, power mode, cores.

journal old values (durable) ─▶ change ─▶ read back ─▶ [ timed window ] ─▶ restore ─▶ clear the journal
            │                                                                ▲
            └── killed anywhere in between: the agent, or the next one, ─────┘
"""
