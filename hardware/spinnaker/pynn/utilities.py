"""``spynnaker.pyNN.utilities``: what scripts use of it."""

from . import neo_convertor

__all__ = ["neo_convertor"]
