"""The targets: each takes bytes where the library takes a file, and gives a result or a JaxrecError, nothing else."""

import contextlib
import functools
import pathlib
import resource
import shutil
import tempfile
import time
import warnings

import jaxrec
from jaxrec.api._item_features import read_features
from jaxrec.api._list_files import rows_of_file
from jaxrec.cli._labels import read_labels
from jaxrec.cli._resume import read_run
from jaxrec.data.datasets._download import safe_unpack
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
    **{"items": items, "labels": labels, "pickle": pickle, "archive": archive},
}


class Broken(AssertionError):
    """An input that took too long or too much memory."""


def check(name, content):
    """Run a target on an input.

    Returns:
      True where the input was taken, False where it was refused.

    Raises:
      Broken: more than 10 s a MB (and 5 s), or 20 times its size and 200 MB of memory.
      Exception: whatever else the target raises.
    """
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    taken = False
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(jaxrec.JaxrecError):
            TARGETS[name](content, pathlib.Path(folder))
            taken = True
    took, more = time.perf_counter() - start, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if took > 5 + 10 * len(content) / 1e6:
        raise Broken(f"{took:.1f} s for {len(content):,} bytes")
    if more > 200e6 + 20 * len(content):
        raise Broken(f"{more:,} bytes of memory for {len(content):,} bytes")
    return taken
