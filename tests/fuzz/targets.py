"""The targets: each takes bytes where the library takes a file, and gives a result or a JaxrecError, nothing else."""

import atexit
import contextlib
import functools
import pathlib
import resource
import shutil
import tempfile
import time
import warnings

import jax
import numpy as np

import jaxrec
from jaxrec.api._item_features import read_features
from jaxrec.api._list_files import rows_of_file
from jaxrec.cli._labels import read_labels
from jaxrec.cli._resume import read_run
from jaxrec.data.datasets._archives import safe_unpack
from jaxrec.data.datasets._pickles import read_pickle
from jaxrec.fitting._resume import read_file

RUN = pathlib.Path(__file__).parents[1] / "data" / "run-0.1" / "popularity"


def reading(name, content, folder):
    """A data file of this name."""
    path = folder / name
    path.write_bytes(content)
    return jaxrec.read(path)


def items(content, folder):
    """The titles and columns of items beside sound ratings."""
    (folder / "movies.csv").write_bytes(content)
    path = folder / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,2,3,4\n1,7,4,5\n2,2,5,6\n")
    return jaxrec.read(path)


def labels(content, folder):
    path = folder / "labels.csv"
    path.write_bytes(content)
    return read_labels(str(path), "user", "--user-groups")


def lists(name, content, folder):
    """A file of lists of another system."""
    path = folder / name
    path.write_bytes(content)
    return rows_of_file(path, None, None)


def features(content, folder):
    path = folder / "features.csv"
    path.write_bytes(content)
    return read_features(path)


def checkpoints(content, folder):
    """What a folder of checkpoints says of its fit."""
    (folder / "fit.json").write_bytes(content)
    return read_file(folder)


@functools.cache
def checkpoint():
    """A folder with the two checkpoints of a tiny fit, its files in order, and the sound arrays by step; made once."""
    from jaxrec.training import Checkpoint
    from jaxrec.training._checkpoint import Store
    from jaxrec.training._keeper import _read as read_step

    root = pathlib.Path(tempfile.mkdtemp(prefix="jaxrec-fuzz-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)

    def stop(event):
        if event.record.epoch == 3:
            raise KeyboardInterrupt

    data = jaxrec.from_arrays([0, 0, 1, 1, 2], [0, 1, 1, 2, 0])
    with contextlib.suppress(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"checkpoint": Checkpoint(root, every=1, keep=2), "callbacks": [stop], "epochs": 9}
        # Short values lie in nodes that TensorStore checks itself; of long ones, as here, nobody but jaxrec does.
        jaxrec.fit(jaxrec.MF(dim=1024), data, key=jax.random.key(0), **how)
    files = sorted(path.relative_to(root) for path in (root / "steps").rglob("*") if path.is_file())
    sound = {}
    for step in Store(root).steps():
        store = Store(root)
        sound[step] = saved_arrays(read_step(store, step))
        store.close()
    return root, files, sound


def saved_arrays(saved):
    """The arrays of a checkpoint, comparable: path, dtype, shape and bytes."""
    best = [pair for one in saved.best if one is not None for pair in one.arrays]
    return [(path, str(array.dtype), array.shape, np.asarray(array).tobytes()) for path, array in (*saved.state, *best)]


def checkpoint_arrays(content, folder):
    """A checkpoint of which one file is changed: the first two bytes say which file, the next which way.

    Either bytes are flipped, at places that the input names, or the file has other content. What is read then has the
    arrays of a sound checkpoint, of this step or of an earlier one, or it is refused.
    """
    from jaxrec.training._checkpoint import Store
    from jaxrec.training._keeper import newest

    root, files, sound = checkpoint()
    place = folder / "checkpoints"
    shutil.copytree(root, place)
    head, rest = content[:3].ljust(3, b"\0"), content[3:]
    path = place / files[int.from_bytes(head[:2], "little") % len(files)]
    if head[2] % 2:
        path.write_bytes(rest)
    else:
        changed = bytearray(path.read_bytes())
        for at in range(0, len(rest) - 2, 3):
            if changed:
                changed[int.from_bytes(rest[at : at + 2], "little") % len(changed)] ^= rest[at + 2]
        path.write_bytes(bytes(changed))
    store = Store(place)
    try:
        saved = newest(store)
    finally:
        store.close()
    if saved is not None and saved_arrays(saved) != sound[saved.step]:
        raise AssertionError(f"checkpoint {saved.step} was read with other arrays after {path.name} was changed")
    return saved


def run_file(content, folder):
    """What a run folder says of a run that can be resumed."""
    (folder / "run.json").write_bytes(content)
    return read_run(folder)


def pickle(content, folder):
    path = folder / "object"
    path.write_bytes(content)
    return read_pickle(path)


def archive(content, folder):
    path = folder / "archive.zip"
    path.write_bytes(content)
    return safe_unpack(path, folder / "out", max_bytes=1 << 20)


def run_folder(name, content, folder):
    """A run folder of which one file is something else."""
    shutil.copytree(RUN, folder / "run")
    (folder / "run" / name).write_bytes(content)
    return jaxrec.restore(folder / "run")


READ = ("a.csv", "a.tsv", "a.txt", "a.dat", "u.data", "a.inter", "a.csv.gz", "a.parquet")
TARGETS = {
    **{f"read-{name}": functools.partial(reading, name) for name in READ},
    **{f"run-{name}": functools.partial(run_folder, name) for name in ("model.json", "arrays.npz")},
    **{f"lists-{name}": functools.partial(lists, name) for name in ("a.csv", "a.json")},
    **{"features": features, "checkpoints": checkpoints, "resume-file": run_file},
    "checkpoint-arrays": checkpoint_arrays,
    **{"items": items, "labels": labels, "pickle": pickle, "archive": archive},
}

PREPARED = {"checkpoint-arrays": checkpoint}
"""What a target makes once, before an input is tried; its time and memory are not the input's."""


class Broken(AssertionError):
    """An input that took too long or too much memory."""


def check(name, content):
    """Run a target on an input.

    Returns:
      True where the input was taken, False where it was refused.

    Raises:
      Broken: more than 10 s of CPU a MB (and 5 s), or 20 times its size and 200 MB of memory.
      Exception: whatever else the target raises.
    """
    PREPARED.get(name, bool)()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    taken = False
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(jaxrec.JaxrecError):
            TARGETS[name](content, pathlib.Path(folder))
            taken = True
    took, more = time.process_time() - start, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if took > 5 + 10 * len(content) / 1e6:
        raise Broken(f"{took:.1f} s for {len(content):,} bytes")
    if more > 200e6 + 20 * len(content):
        raise Broken(f"{more:,} bytes of memory for {len(content):,} bytes")
    return taken
