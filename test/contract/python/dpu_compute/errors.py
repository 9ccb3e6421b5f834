"""One class for each code of the error table; a platform lists this module in `allowed_remote_exmods`."""


class DpuComputeError(Exception):
    def __init__(self, message=None, code=None, field=None, details=None):
        super().__init__(message)
        self.code = code
        self.field = field
        self.details = details


class Invalid(DpuComputeError):
    pass


class NotFound(DpuComputeError):
    pass


class Conflict(DpuComputeError):
    pass


class Busy(DpuComputeError):
    pass


class Exhausted(DpuComputeError):
    pass


class Unsupported(DpuComputeError):
    pass


class BadState(DpuComputeError):
    pass


class Unavailable(DpuComputeError):
    pass


class Timeout(DpuComputeError):
    pass


class Denied(DpuComputeError):
    pass


class Hardware(DpuComputeError):
    pass


class Internal(DpuComputeError):
    pass
