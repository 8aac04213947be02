"""The exceptions of jaxrec. Each message names the argument, its value and the remedy."""


class JaxrecError(ValueError):
    """Bad input, refused before tracing or training.

    All errors that a caller can cause derive from it, so one `except` catches them. The command line prints the message
    on one line and exits with status 2.

    >>> import jaxrec
    >>> try:
    ...     jaxrec.load("movie-lens")
    ... except jaxrec.errors.JaxrecError as error:
    ...     print(type(error).__name__)
    DataError
    """


class DataError(JaxrecError):
    """Data that cannot be read or are inconsistent; the message gives file and line if there is a file."""


class MissingFileError(DataError, FileNotFoundError):
    """A file or folder that does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DownloadError(JaxrecError):
    """A data set that cannot be downloaded, or whose checksum is wrong."""


class UnknownIdError(JaxrecError, LookupError):
    """A user, item or title that is not in the data, or a title that several items share."""


class MismatchError(JaxrecError):
    """A model and data, or two arrays, that do not fit each other."""


class RunFolderError(JaxrecError):
    """A run folder that is damaged, incomplete, or not written by jaxrec."""


class NonFiniteLossError(JaxrecError, FloatingPointError):
    """A training that was stopped because its loss was not finite; `state` is the last good training state.

    >>> NonFiniteLossError("loss is nan").state is None
    True
    """

    state: object = None
