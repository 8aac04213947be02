"""Checkpoints: where they go, and the store that writes and verifies them. Orbax is behind this file alone.

Orbax restores flipped bytes without a word, so the SHA-256 of every array is kept beside it and checked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jaxrec.errors import JaxrecError, RunFolderError

STEPS = "steps"
_META = "meta"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where `fit` keeps checkpoints, how often, and how many of them.

    Needs Orbax: pip install "jaxrec[checkpoint]".

    Attributes:
      folder: made where it is missing; of one fit alone.
      every: epochs between two of them. The end of a stage is kept in any case.
      keep: the newest ones that stay. The best parameters so far stay too, once.

    Raises:
      JaxrecError: a value out of range.

    >>> Checkpoint("runs/first/checkpoints", every=5).keep
    2
    """

    folder: str | os.PathLike[str]
    every: int = 1
    keep: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, os.PathLike)) or not os.fspath(self.folder):
            raise JaxrecError(f"folder must be the path of a folder, got {self.folder!r}")
        for name in ("every", "keep"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise JaxrecError(f"{name} must be a whole number of at least 1, got {value!r}")
            object.__setattr__(self, name, int(value))

    @property
    def path(self) -> pathlib.Path:
        """The folder as an absolute path, as Orbax wants it."""
        return pathlib.Path(self.folder).expanduser().absolute()


@dataclasses.dataclass(frozen=True)
class Leaf:
    """An array of a checkpoint: what it is called, and what it must be when it is read back.

    Attributes:
      path: of the array in its tree, in words.
      shape: of the array.
      dtype: its name.
      sha256: of its bytes, hexadecimal.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str

    @staticmethod
    def of(path: str, array: np.ndarray) -> Leaf:
        """Describe an array.

        >>> Leaf.of("w", np.zeros(2, np.float32)).dtype
        'float32'
        """
        digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()
        return Leaf(path, array.shape, array.dtype.name, digest)


class Checkpoints(Protocol):
    """Where checkpoints are: the store of one process, or of several, see `Store`."""

    folder: pathlib.Path

    def steps(self) -> list[int]:
        """See `Store`."""
        ...

    def save(
        self, step: int, items: Mapping[str, Sequence[tuple[str, np.ndarray]]], document: Mapping[str, Any], best: int
    ) -> None:
        """See `Store`."""
        ...

    def document(self, step: int) -> dict[str, Any]:
        """See `Store`."""
        ...

    def arrays(self, step: int, item: str, document: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
        """See `Store`."""
        ...

    def drop_after(self, step: int) -> None:
        """See `Store`."""
        ...

    def close(self) -> None:
        """See `Store`."""
        ...


class Store:
    """The checkpoints of a folder by their step, a rising number.

    A checkpoint has items, each a list of named arrays, and a document. It is there as a whole or not at all.

    Args:
      folder: absolute; made on the first `save`.
      keep: how many of the newest stay, and how many of those with a new best.

    Raises:
      JaxrecError: Orbax is not installed.
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2) -> None:
        load_orbax()
        self.folder, self._root, self._keep, self._manager = folder, folder / STEPS, keep, None

    def steps(self) -> list[int]:
        """The steps that there are, in order; whether they are whole is found by reading."""
        if not self._root.is_dir():
            return []
        return sorted(int(entry.name) for entry in self._root.iterdir() if entry.name.isdigit() and entry.is_dir())

    def save(
        self, step: int, items: Mapping[str, Sequence[tuple[str, np.ndarray]]], document: Mapping[str, Any], best: int
    ) -> None:
        """Write a checkpoint, and remove those that are not to stay.

        Args:
          step: above all that there are.
          items: name to (path, array) pairs.
          document: plain JSON values.
          best: a rising number where it has a new best, -1 elsewhere.

        Raises:
          RunFolderError: it cannot be written.
        """
        ocp = load_orbax()
        leaves = {name: [dataclasses.asdict(Leaf.of(*pair)) for pair in pairs] for name, pairs in items.items()}
        text = json.dumps({**document, "leaves": leaves})
        args = {
            name: ocp.args.StandardSave({_name(at): array for at, (_, array) in enumerate(own)})
            for name, own in items.items()
        }
        args[_META] = ocp.args.JsonSave({"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()})
        try:
            if self._manager is None:
                self._root.mkdir(parents=True, exist_ok=True)
                self._manager = self._opened(ocp)
            self._manager.save(step, args=ocp.args.Composite(**args), metrics={"best": float(best)})
        except Exception as error:  # TensorStore and Orbax have many classes of errors for a disk
            raise RunFolderError(
                f"cannot write a checkpoint to {str(self._root.parent)!r}: {reason_of(error)}; what was kept before is "
                "still there, so make room and resume"
            ) from None

    def document(self, step: int) -> dict[str, Any]:
        """The document of a checkpoint, verified.

        Raises:
          RunFolderError: it is damaged.
        """
        ocp = load_orbax()
        with _damage(step):
            with contextlib.closing(_alone(ocp, ocp.JsonCheckpointHandler)) as reader:
                kept = reader.restore(self._root / str(step) / _META)
            if hashlib.sha256(kept["text"].encode()).hexdigest() != kept["sha256"]:
                raise ValueError("its description has another checksum")
            return json.loads(kept["text"])

    def arrays(self, step: int, item: str, document: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
        """The (path, array) pairs of an item, each verified.

        Raises:
          RunFolderError: it is damaged.
        """
        import jax

        ocp = load_orbax()
        with _damage(step):
            found = list[tuple[str, np.ndarray]]()
            for at, each in enumerate(document["leaves"][item]):
                leaf = Leaf(**{**each, "shape": tuple(each["shape"])})
                like = {_name(at): jax.ShapeDtypeStruct(leaf.shape, np.dtype(leaf.dtype))}
                how = ocp.checkpoint_utils.construct_restore_args(like)
                # One by one: of several, a damaged one leaves the reads of the others behind, which fail later, aloud.
                with contextlib.closing(_alone(ocp, ocp.PyTreeCheckpointHandler)) as reader:
                    args = ocp.args.PyTreeRestore(like, restore_args=how, partial_restore=True)
                    array = np.asarray(reader.restore(self._root / str(step) / item, args=args)[_name(at)])
                if Leaf.of(leaf.path, array) != leaf:
                    raise ValueError(f"{leaf.path} has another checksum")
                found.append((leaf.path, array))
            return found

    def drop_after(self, step: int) -> None:
        """Remove what is newer than a step, and what a killed process left half-written."""
        self.close()
        for entry in self._root.iterdir() if self._root.is_dir() else ():
            if not entry.name.isdigit() or int(entry.name) > step:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def close(self) -> None:
        """Let go of the folder."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _opened(self, ocp: Any) -> Any:
        policies = ocp.checkpoint_managers
        best = lambda metrics: metrics["best"]  # noqa: E731
        # A policy alone does not read the metrics back after a restart, and best_fn alone drops the newest.
        policy = policies.AnyPreservationPolicy(
            [
                policies.LatestN(self._keep),
                policies.BestN(get_metric_fn=best, n=self._keep, keep_checkpoints_without_metrics=False),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=best,
            preservation_policy=policy,
            create=False,  # Orbax makes no folder where some of the processes take part; we have made it
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            multiprocessing_options=_first_of_all(ocp),
        )
        return ocp.CheckpointManager(self._root, options=options)


def _first_of_all(ocp: Any) -> Any:
    """Of several processes the first reads and writes alone, so there is nobody to wait for."""
    how = {"primary_host": 0, "active_processes": {0}, "barrier_sync_key_prefix": "jaxrec"}
    return ocp.options.MultiprocessingOptions(**how)


def _alone(ocp: Any, handler: Any) -> Any:
    how = {"multiprocessing_options": _first_of_all(ocp)}
    return ocp.Checkpointer(handler(**how), **how)


def load_orbax() -> Any:
    """The package that writes checkpoints.

    Raises:
      JaxrecError: it is not installed.
    """
    if importlib.util.find_spec("orbax") is None or importlib.util.find_spec("orbax.checkpoint") is None:
        raise JaxrecError('checkpoints need Orbax: pip install "jaxrec[checkpoint]"')
    import orbax.checkpoint

    return orbax.checkpoint


def reason_of(error: BaseException) -> str:
    """The reason of an error in a few words of one line.

    >>> reason_of(OSError(28, "No space left on device"))
    'No space left on device'
    """
    text = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."


def write_whole(path: pathlib.Path, text: str) -> None:
    """Write a small file beside its place, and put it there when it is on the disk.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(pathlib.Path(folder, "a"), "b")
    ...     os.listdir(folder)
    ['a']
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _name(at: int) -> str:
    # Paths of parameters are any text, and Orbax makes names of files of them.
    return f"{at:04d}"


@contextlib.contextmanager
def _damage(step: int) -> Iterator[None]:
    """Make a RunFolderError of whatever reading a damaged checkpoint raises, which is nearly anything."""
    try:
        yield
    except RunFolderError:
        raise
    except Exception as error:
        raise RunFolderError(f"checkpoint {step} is damaged ({reason_of(error)})") from None
