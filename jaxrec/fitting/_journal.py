"""The file of a study: a journal of Optuna, which one process at a time goes on with."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from jaxrec.errors import JaxrecError
from jaxrec.fitting._study import Trial


class Journal:
    """A journal that is held while it is open; the lock ends with the process.

    Args:
      file: made where it is missing. A last line that a killed process left unfinished is taken away.

    Raises:
      JaxrecError: a folder that does not exist, a file that is no study or is damaged, one that another process holds.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(file)
        shown = repr(str(file))
        if not self.path.absolute().parent.is_dir():
            raise JaxrecError(f"study {shown} is in a folder that does not exist; make {str(self.path.parent)!r} first")
        try:
            self._held = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise JaxrecError(f"study {shown} cannot be opened: {error.strerror}; name another file") from None
        try:
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise JaxrecError(f"another process goes on with the study {shown}; wait for it") from None
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """Refuse what is no journal, and cut an unfinished last line off."""
        content = self.path.read_bytes()
        *lines, rest = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                known = isinstance(json.loads(line), dict) and b"op_code" in line
            except (ValueError, RecursionError):
                known = False
            if not known:
                what = "is damaged" if number > 1 else "is no study"
                raise JaxrecError(f"{str(self.path)!r} {what}: line {number} is no entry; name another file")
        if rest and not (lines or rest.startswith(b"{")):
            raise JaxrecError(f"{str(self.path)!r} is no study; name another file")
        if rest:
            os.ftruncate(self._held, len(content) - len(rest))
            told = f"the last entry of {str(self.path)!r} was not finished when its process ended; its trial runs again"
            warnings.warn(told, UserWarning, stacklevel=2)

    def study(self, name: str, direction: Literal["minimize", "maximize"]) -> Any:
        """The study of a name in the file, made where it is missing.

        Raises:
          JaxrecError: Optuna cannot make sense of the file.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        try:
            storage = JournalStorage(JournalFileBackend(str(self.path), lock_obj=_Held()))  # pyright: ignore[reportArgumentType]
            return optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)  # pyright: ignore[reportArgumentType]
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:100]
            raise JaxrecError(f"study {str(self.path)!r} cannot be read: {reason}; name another file") from None

    def close(self) -> None:
        """Let go of the file."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


class _Held:
    """A lock that Optuna asks for at every entry, while the journal holds the file all the time."""

    def acquire(self) -> bool:
        """It is held."""
        return True

    def release(self) -> None:
        """It stays held."""


def check_same(study: Any, described: Mapping[str, Any], file: Any) -> None:
    """Refuse to continue a study of something else; a new one is described.

    Raises:
      JaxrecError: what differs.
    """
    ours = json.loads(json.dumps(described))
    theirs = study.user_attrs.get("jaxrec")
    if theirs is None:
        study.set_user_attr("jaxrec", ours)
        return
    differ = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if differ:
        at = differ[0]
        raise JaxrecError(
            f"the study {study.study_name!r} in {file} is of another search: {', '.join(differ)} differ; "
            f"{at} was {theirs.get(at)} and is {ours.get(at)}; choose another name or file"
        )


def kept_trials(study: Any) -> Iterator[tuple[Trial, Any]]:
    """The trials that are over, each with Optuna's own; those of processes that were killed are left out."""
    for frozen in study.get_trials(deepcopy=False):
        if frozen.state.is_finished() and "trial" in frozen.user_attrs:
            kept = dict(frozen.user_attrs["trial"])
            yield Trial(**{**kept, "values": tuple(kept["values"]), "epochs": tuple(kept["epochs"])}), frozen
