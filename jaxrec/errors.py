"""The exceptions of jaxrec. Each message names the argument, its value and the remedy."""


class JaxrecError(ValueError):
    """Bad input, refused before tracing or training.

    All errors that a caller can cause derive from it, so one `except` catches them. The command line prints the message
    on one line and exits with status 2.

    >>> import jaxrec
    >>> try:
    ...     jaxrec.read("nowhere.csv")
    ... except JaxrecError as error:
    ...     print(error)
    nowhere.csv: no such file; check the path
    """


class DataError(JaxrecError):
    """Data that cannot be read or are inconsistent; the message gives file and line if there is a file.

    >>> import jaxrec
    >>> jaxrec.from_arrays([0], [0], rating=[float("nan")])
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: rating at position 0 is nan; ...
    """


class MissingFileError(DataError, FileNotFoundError):
    """A file or folder that does not exist; also a `FileNotFoundError`.

    >>> import jaxrec
    >>> jaxrec.read("nowhere.csv")
    Traceback (most recent call last):
        ...
    jaxrec.errors.MissingFileError: nowhere.csv: no such file; ...
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DownloadError(JaxrecError):
    """A data set that cannot be downloaded, or whose checksum is wrong.

    >>> try:
    ...     raise DownloadError("gowalla.zip has another checksum; nothing was kept")
    ... except JaxrecError as error:
    ...     print(error)
    gowalla.zip has another checksum; nothing was kept
    """


class UnknownIdError(JaxrecError, LookupError):
    """A user, item or title that is not in the data, or a title that several items share; also a `LookupError`.

    >>> import jax, jaxrec
    >>> model = jaxrec.fit(jaxrec.Popularity(), jaxrec.from_arrays(["ann"], ["tea"]), key=jax.random.key(0))
    >>> jaxrec.recommend(model, ["ben"], k=1)
    Traceback (most recent call last):
        ...
    jaxrec.errors.UnknownIdError: unknown user 'ben': ...
    """


class MismatchError(JaxrecError):
    """A model and data, or two arrays, that do not fit each other.

    >>> import jax.numpy as jnp
    >>> from jaxrec.sparse import from_dense, spmm
    >>> spmm(from_dense(jnp.eye(2)), jnp.ones(3))
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: matrix has shape (2, 2), so x must be [2, d], got (3,)
    """


class RunFolderError(JaxrecError):
    """A run folder that is damaged, incomplete, or not written by jaxrec.

    >>> import jaxrec
    >>> jaxrec.restore("nowhere")
    Traceback (most recent call last):
        ...
    jaxrec.errors.RunFolderError: no run folder at 'nowhere'; ...
    """


class NonFiniteLossError(JaxrecError, FloatingPointError):
    """A training that was stopped because its loss was not finite; `state` is the last good training state.

    >>> NonFiniteLossError("loss is nan").state is None
    True
    """

    state: object = None


class OutputError(JaxrecError, OSError):
    """A file that cannot be written; also an `OSError`. What was there before is as it was.

    >>> from jaxrec.files import write_whole
    >>> write_whole("no/such/folder/lists.csv", b"")
    Traceback (most recent call last):
        ...
    jaxrec.errors.OutputError: cannot write 'no/such/folder/lists.csv': No such file or directory; ...
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Terminated(SystemExit):
    """SIGTERM came, and what was computed is kept where there are checkpoints; exit status 75, "try again later".

    >>> Terminated().code
    75
    """

    def __init__(self) -> None:
        super().__init__(75)
