"""A class that the caller re-creates from its module's name, as nova.exception's are."""


class NotFound(Exception):
    def __init__(self, message=None, **kwargs):
        self.kwargs = kwargs
        self.code = kwargs.get('code')
        super().__init__(message)
