"""Phones: every Android device on this machine's USB ports is a device of its own, driven with the `adb` program.

::

    adb          one phone's shell and files, by the `adb` program
    discovery    which phones are there, as they come and go
    phone        what a phone is: description, telemetry, its gates (battery, charge, heat), its recovery
    runner       the program that runs models on it, and how it is spoken to
    measuring    a job on a phone: files over, run, figures back
    service      all of it as one agent with many devices
"""
