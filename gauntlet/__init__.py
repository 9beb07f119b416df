"""The face: the command line `gauntlet`, the public Python API and the embedded lab."""
