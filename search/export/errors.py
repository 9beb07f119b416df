"""What can go wrong in an export."""


class ExportError(ValueError):
    """A network cannot become a file."""


class UnsupportedModuleError(ExportError):
    """A network holds something that has no counterpart in the file formats.

    Attributes:
        path: where it is in the network, such as ``stages.2.block``; empty for the network itself.
        what: the module, function or property.
    """

    def __init__(self, path: str, what: str, advice: str) -> None:
        self.path = path
        self.what = what
        super().__init__(f"{path or 'the network'}: {what} cannot be exported; {advice}")
