"""What can be wrong with a request for faults. Each message is one clear line."""


class FaultError(ValueError):
    """A request for faults that makes no sense, or not for this model."""


class InvalidFaultModelError(FaultError):
    """A text or value that is no fault model."""


class NoSuchTargetError(FaultError):
    """A pattern that matches nothing, or a fault that lies outside of its tensor."""


class UnsupportedModelError(FaultError):
    """A network that has not got what the fault model breaks."""
