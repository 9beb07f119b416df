"""Fault campaigns through a lab: accuracy under faults, the vulnerability map, and what protection is worth.

settings    what is asked        →  runner    condition after condition, device by device, resumable
                                    mapping   one flipped bit at a time, layer by layer and bit by bit
                                    protect   what to protect, and whether it helps
records     faults as files      →  result    all of it, for reports and programs
"""
