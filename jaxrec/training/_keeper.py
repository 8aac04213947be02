"""The progress of a fit in a folder of checkpoints: its train state, its best parameters, and what is said of it."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import RunFolderError
from jaxrec.parallel._processes import from_writer
from jaxrec.protocols import StageInfo
from jaxrec.training._checkpoint import Checkpoints
from jaxrec.training._progress import EpochRecord, MemberProgress, Progress

Pairs = list[tuple[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Best:
    """The best parameters of a member so far: of which stage and epoch, and their arrays in the order of the tree."""

    stage: str
    epoch: int
    arrays: Pairs


@dataclasses.dataclass(frozen=True)
class Saved:
    """A checkpoint that was read and verified.

    Attributes:
      step: its number.
      document: what is said of the fit.
      state: the arrays of the train state.
      best: the best parameters of each member, or None.
    """

    step: int
    document: Mapping[str, Any]
    state: Pairs
    best: list[Best | None]

    def records(self) -> list[tuple[str, int, EpochRecord]]:
        """(stage, member, record) of every epoch so far, in the order in which they were told."""
        stages = [*self.document["finished"].items(), (self.document["stage"], self.document)]
        told: list[tuple[str, int, EpochRecord]] = []
        for name, stage in stages:
            members = [MemberProgress.of_dict(member).records for member in stage["members"]]
            rows = [(record.epoch, at, record) for at, records in enumerate(members) for record in records]
            told += [(name, at, record) for _, at, record in sorted(rows, key=lambda row: row[:2])]
        return told


def newest(store: Checkpoints) -> Saved | None:
    """The newest checkpoint that is whole; None where there is none at all. A damaged one is told.

    Raises:
      RunFolderError: all are damaged.
    """
    reasons: list[str] = []
    for step in reversed(store.steps()):
        try:
            saved = _read(store, step)
        except RunFolderError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            warnings.warn(f"{reason}; checkpoint {step} is used instead", UserWarning, stacklevel=2)
        return saved
    if reasons:
        raise RunFolderError(f"{reasons[0]}, and there is no other that is whole; fit again")
    return None


def _read(store: Checkpoints, step: int) -> Saved:
    document = store.document(step)
    state = store.arrays(step, "state", document)
    known, of = document["best"], document["best"]["members"]
    best: list[Best | None] = [None] * len(of)
    if known["step"] is not None:
        other = document if known["step"] == step else store.document(known["step"])
        arrays = store.arrays(known["step"], "best", other)
        for at, member in enumerate(of):
            if member is not None:
                own = [(path.partition(":")[2], array) for path, array in arrays if path.startswith(f"{at}:")]
                best[at] = Best(member["stage"], member["epoch"], own)
    return Saved(step, document, state, best)


class FolderKeeper:
    """Keeps the progress of a fit of several stages, and gives it back to a later process.

    Args:
      store: of the checkpoints.
      every: epochs between two.
      several: whether the states are stacked, of S members.
      saved: what an earlier process has kept.
    """

    def __init__(self, store: Checkpoints, every: int, several: bool, saved: Saved | None) -> None:
        self._store, self._every, self._several, self.saved = store, every, several, saved
        self._finished: dict[str, Any] = {} if saved is None else dict(saved.document["finished"])
        self._best = list[Best | None]() if saved is None else list(saved.best)
        known = {"step": None, "number": 0} if saved is None else saved.document["best"]
        self._best_step, self._number = known["step"], known["number"]
        self._stage, self._probed = StageInfo("", "", ()), False

    @property
    def folder(self) -> pathlib.Path:
        """Of the checkpoints."""
        return self._store.folder

    def finished(self, name: str) -> Mapping[str, Any] | None:
        """What a stage gave that an earlier process has finished: `compile_seconds` and `members`; None for no such."""
        return self._finished.get(name)

    def finish(self, name: str, compile_seconds: float, members: Sequence[MemberProgress]) -> None:
        """A stage is over, and another one follows."""
        of = [member.to_dict() for member in members]
        self._finished[name] = {"compile_seconds": compile_seconds, "members": of}

    def begun(self, stage: StageInfo, state: Any) -> Progress | None:
        """See `Keeper`."""
        self._stage = stage
        self._best = self._best or [None] * stage.members
        saved = self.saved
        if saved is None or saved.document["stage"] != stage.name:
            self._probe(state)
            return None
        document = saved.document
        if list(stage.epochs) != document["epochs"] or len(document["members"]) != stage.members:
            raise RunFolderError(f"the checkpoints are of {document['epochs']} epochs, and this fit of {stage.epochs}")
        params = state.params
        if self._several:
            params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
        members = []
        for member, best in zip(document["members"], self._best, strict=True):
            own = MemberProgress.of_dict(member)
            if own.best_epoch:
                assert best is not None
                own = dataclasses.replace(own, best=tree_of(best.arrays, params))
            members.append(own)
        return Progress(tree_of(saved.state, state), tuple(members), document["callbacks"], document["compile_seconds"])

    def step(self, progress: Progress) -> int:
        """See `Keeper`."""
        before = [len(member["records"]) for stage in self._finished.values() for member in stage["members"]]
        return progress.epoch + max(before, default=0)

    def due(self, progress: Progress, *, now: bool = False) -> bool:
        """See `Keeper`."""
        return now or progress.over or progress.epoch % self._every == 0

    def take(self, progress: Progress, *, now: bool = False) -> None:
        """See `Keeper`."""
        if not self.due(progress, now=now):
            return
        step = self.step(progress)
        items = {"state": pairs_of(progress.state)}
        if self._note_best(progress):
            self._best_step, self._number = step, self._number + 1
            kept = [(at, best) for at, best in enumerate(self._best) if best is not None]
            items["best"] = [(f"{at}:{path}", array) for at, best in kept for path, array in best.arrays]
        document = {
            "stage": self._stage.name,
            "several": self._several,
            "epochs": list(self._stage.epochs),
            "members": [member.to_dict() for member in progress.members],
            "callbacks": list(progress.callbacks),
            "compile_seconds": progress.compile_seconds,
            "finished": self._finished,
            "best": {
                "step": self._best_step,
                "number": self._number,
                "members": [
                    None if best is None else {"stage": best.stage, "epoch": best.epoch} for best in self._best
                ],
            },
        }
        self._store.save(step, items, document, self._number if "best" in items else -1)

    def _note_best(self, progress: Progress) -> bool:
        """Take over the best parameters that are new; whether any are."""
        new = False
        for at, member in enumerate(progress.members):
            known, name = self._best[at], self._stage.name
            if member.best_epoch and (known is None or (known.stage, known.epoch) != (name, member.best_epoch)):
                self._best[at] = Best(name, member.best_epoch, pairs_of(member.best))
                new = True
        return new

    def _probe(self, state: Any) -> None:
        """Refuse a disk that has no room for the checkpoints, before anything is trained.

        Raises:
          RunFolderError: it is too full.
        """
        size = sum(array.nbytes for _, array in pairs_of(state))
        folder = self._store.folder
        free = from_writer(lambda: shutil.disk_usage(_existing(folder)).free)
        if not self._probed and free < 3 * size:
            raise RunFolderError(
                f"{str(folder)!r} has room for {free / 1e6:,.0f} MB, and two checkpoints take up to "
                f"{3 * size / 1e6:,.0f} MB; make room, or name another folder"
            )
        self._probed = True


def pairs_of(tree: Any) -> Pairs:
    """The (path, array) pairs of a tree, on the host; of a random key its data.

    >>> pairs_of({"w": jnp.zeros(2)})[0][0], pairs_of(jax.random.key(0))[0][0]
    ("['w']", ' (threefry2x32)')
    """
    pairs = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        pairs.append((_path(path, leaf), np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)))
    return pairs


def tree_of(pairs: Pairs, like: Any) -> Any:
    """The tree of such pairs, on the device in buffers of its own.

    Args:
      pairs: what `pairs_of` gave.
      like: a tree of the same structure, of arrays or of their shapes.

    Raises:
      RunFolderError: other paths, shapes or kinds of numbers.

    >>> tree_of(pairs_of({"w": jnp.ones(2)}), {"w": jnp.zeros(2)})["w"].tolist()
    [1.0, 1.0]
    """
    wanted, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [_path(path, leaf) for path, leaf in wanted]
    if names != [path for path, _ in pairs]:
        odd = sorted(set(names) ^ {path for path, _ in pairs})
        raise RunFolderError(f"the checkpoint and this fit differ in the arrays of their state: {', '.join(odd[:3])}")
    leaves = []
    for (path, array), (_, leaf) in zip(pairs, wanted, strict=True):
        key = _is_key(leaf)
        shape, dtype = (
            ((*leaf.shape, *array.shape[len(leaf.shape) :]), array.dtype) if key else (leaf.shape, leaf.dtype)
        )
        if (array.shape, array.dtype) != (shape, dtype):
            raise RunFolderError(
                f"{path} is {array.dtype}{list(array.shape)} in the checkpoint and {dtype}{list(shape)} in this fit"
            )
        # A copy: the epoch donates the state, and an array of NumPy's memory is not to be given away.
        made = jnp.array(array, copy=True)
        leaves.append(jax.random.wrap_key_data(made, impl=str(jax.random.key_impl(leaf))) if key else made)
    return jax.tree.unflatten(structure, leaves)


def _path(path: Any, leaf: Any) -> str:
    kind = f" ({jax.random.key_impl(leaf)})" if _is_key(leaf) else ""
    return f"{jax.tree_util.keystr(path)}{kind}"


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _existing(folder: pathlib.Path) -> pathlib.Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
