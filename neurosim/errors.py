"""The errors that neurosim raises at its borders; all are also the built-in kind one would expect."""

__all__ = ["FileFormatError", "NetworkError", "NeurosimError", "ParameterError", "SimulationError"]


class NeurosimError(Exception):
    """Base of all errors of this library."""


class ParameterError(NeurosimError, ValueError):
    """A parameter has a value, a shape or a type that cannot be used."""


class NetworkError(NeurosimError, ValueError):
    """The parts of a description do not fit together."""


class SimulationError(NeurosimError, RuntimeError):
    """A simulation cannot go on; what it recorded so far is kept."""


class FileFormatError(NeurosimError, ValueError):
    """A file is not one of ours, is damaged, or cannot be written."""
