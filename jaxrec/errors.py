"""The exceptions that jaxrec raises, each with a message that names the argument, its value and the remedy."""


class JaxrecError(ValueError):
    """Bad input, refused before anything is traced or trained.

    Every error that a caller can cause is of this class, so one `except` catches them all. The command line prints
    the message on one line and exits with 2.

    >>> issubclass(JaxrecError, ValueError)
    True
    """


class DataError(JaxrecError):
    """Data that cannot be read or that do not make sense; the message gives file and line where there is one.

    >>> issubclass(DataError, JaxrecError)
    True
    """


class MissingFileError(DataError, FileNotFoundError):
    """A file or folder that is not there.

    >>> issubclass(MissingFileError, FileNotFoundError)
    True
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DownloadError(JaxrecError):
    """A data set that could not be fetched, or whose bytes are not the expected ones.

    >>> issubclass(DownloadError, JaxrecError)
    True
    """


class UnknownIdError(JaxrecError, LookupError):
    """A user, item or title that the data do not have, or a title that several items share.

    >>> issubclass(UnknownIdError, LookupError)
    True
    """


class MismatchError(JaxrecError):
    """A model and data, or two arrays, that do not fit each other.

    >>> issubclass(MismatchError, JaxrecError)
    True
    """


class RunFolderError(JaxrecError):
    """A run folder that is damaged, incomplete, or was not written by jaxrec.

    >>> issubclass(RunFolderError, JaxrecError)
    True
    """


class NonFiniteLossError(JaxrecError, FloatingPointError):
    """Training stopped because the loss was not finite; `state` is the last good training state.

    >>> NonFiniteLossError("loss is nan").state is None
    True
    """

    state: object = None
