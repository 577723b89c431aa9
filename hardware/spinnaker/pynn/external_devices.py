"""``sim.external_devices``: names of what talks to a board; each says what to use instead."""

from .absent import DEVICES, stand_ins

globals().update(stand_ins(DEVICES))

__all__ = list(DEVICES)
