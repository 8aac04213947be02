"""From DATA and its options to a split, and back again from what a run folder says of them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import jax
from tyro import conf

from jaxrec.cli._parsing import Switch, optional, values_of
from jaxrec.data._filters import Preparation, prepare
from jaxrec.data._interactions import Interactions
from jaxrec.data.datasets._catalog import datasets, load
from jaxrec.data.reading._readers import read, read_split
from jaxrec.data.splitting._parts import Split
from jaxrec.data.splitting._splits import split
from jaxrec.errors import DataError, JaxrecError, MismatchError, MissingFileError, RunFolderError
from jaxrec.fitting._described import class_at

_FILE_OPTIONS = ("test_file", "valid_file", "overlap", "items", "format", "columns", "delimiter", "encoding")
_PATHS = ("test_file", "valid_file", "items", "data_dir")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What is read, what is kept of it, and what is held out.

    Attributes:
      test_file: the test part of a published split; DATA is then the file of its training part.
      valid_file: its validation part.
      overlap: what to do with a pair of user and item in two of these files: "raise" an error, "drop" it from the later
        part, or "keep" both.
      items: a file with titles; by default the one beside DATA that its name belongs to, such as movies.csv.
      format: of the files, see jaxrec.read; found by content and name if it is not given.
      columns: the role of each column in order, - for none ("user item - rating"), or the column of each role by name
        or position from 0 ("user=customer item=sku"); the roles are user, item, rating, timestamp, title.
      delimiter: what separates the columns.
      encoding: of the text; by default UTF-8, or what the format says.
      data_dir: a folder that holds the folders of named data sets.
      raw: take the data as they are, without the filters of a named data set and without de-duplication.
      min_rating: keep ratings of at least this; by default what a named data set has, and all ratings of a file.
      k_core: every user and item keeps at least this many interactions; by default what a named data set has.
      k_core_on: "data" applies the k-core before the split, "train" to the training part alone.
      split: user_temporal, user_random, random, global_temporal, leave_one_out, user_kfold or predefined; by default
        predefined where the data carry a published split, user_temporal where they have timestamps, or user_random.
      test: the fraction that is held out for the test; by default 0.2.
      valid: the fraction that is held out for validation; by default 0.1, and none of a published split.
      ties: of equal timestamps, "shuffle" or "together".
      order: of leave_one_out and user_kfold, "time" or "random".
      folds: of user_kfold, how many there are.
      fold: of user_kfold, which one is tested, from 0.
      split_seed: of the split. It is not --seed, so that several seeds are measured on one split.
    """

    test_file: Annotated[str | None, optional("FILE")] = None
    valid_file: Annotated[str | None, optional("FILE")] = None
    overlap: Annotated[str | None, optional("{raise,drop,keep}")] = None
    items: Annotated[str | None, optional("FILE")] = None
    format: Annotated[str | None, optional("FORMAT")] = None
    columns: Annotated[tuple[str, ...], optional("COLUMN ...")] = ()
    delimiter: Annotated[str | None, optional("TEXT")] = None
    encoding: Annotated[str | None, optional("NAME")] = None
    data_dir: Annotated[str | None, optional("FOLDER")] = None
    raw: Switch = False
    min_rating: Annotated[float | None, optional("FLOAT")] = None
    k_core: Annotated[int | None, optional("INT")] = None
    k_core_on: Annotated[str, conf.arg(metavar="{data,train}")] = "data"
    split: Annotated[str | None, optional("METHOD")] = None
    test: Annotated[float | None, optional("FLOAT")] = None
    valid: Annotated[float | None, optional("FLOAT")] = None
    ties: Annotated[str | None, optional("{shuffle,together}")] = None
    order: Annotated[str | None, optional("{time,random}")] = None
    folds: Annotated[int | None, optional("INT")] = None
    fold: Annotated[int | None, optional("INT")] = None
    split_seed: int = 0


def read_data(name: str, options: DataOptions) -> tuple[Interactions, DataOptions]:
    """Read and filter a named data set or files.

    Args:
      name: a name of `jaxrec.datasets()`, or a path. A name goes before a path; `./gowalla` is always a path.
      options: see the class.

    Returns:
      The interactions, and the options with absolute paths and with the filters that were applied.

    Raises:
      JaxrecError: neither a name nor a file, options that do not go together, and all that reading raises.
    """
    known = {record.name: record for record in datasets()}
    options = dataclasses.replace(options, **{key: _absolute(getattr(options, key)) for key in _PATHS})
    if name in known:
        given = [f"--{key.replace('_', '-')}" for key in _FILE_OPTIONS if getattr(options, key)]
        if given:
            raise JaxrecError(f"{given[0]} is for files, and {name} is a named data set; write ./{name} for a file")
        data = load(name, raw=True, data_dir=options.data_dir)
        steps = known[name].preparation or Preparation(deduplicate=False)
    else:
        data = _read_files(name, options, list(known))
        steps = Preparation(deduplicate=data.part is None)
    if options.raw:
        steps = Preparation(deduplicate=False)
    least = steps.min_rating if options.min_rating is None else options.min_rating
    core = steps.k_core if options.k_core is None else options.k_core
    before = core if options.k_core_on == "data" else None
    data = prepare(data, min_rating=least, deduplicate=steps.deduplicate, k_core=before)
    return data, dataclasses.replace(options, min_rating=least, k_core=core)


def split_data(data: Interactions, options: DataOptions) -> Split:
    """Hold out a test and a validation part, by the method given or by the one that fits the data.

    Args:
      data: what `read_data` gave.
      options: likewise.

    Raises:
      JaxrecError: see `jaxrec.split`.

    >>> data = Interactions.from_arrays([1] * 10, range(10))
    >>> split_data(data, DataOptions()).method
    'user_random'
    """
    fitting = "user_temporal" if data.timestamp is not None else "user_random"
    method: Any = options.split or ("predefined" if data.part is not None else fitting)
    # Words are checked where they are used, so they are passed on as they are.
    ties, order, valid = (cast(Any, getattr(options, key)) for key in ("ties", "order", "valid"))
    if method == "leave_one_out" and valid is not None and float(valid).is_integer():
        valid = int(valid)  # a number of interactions here, not a fraction
    on_train = options.k_core_on == "train"
    if options.k_core_on not in ("data", "train"):
        raise JaxrecError(f"--k-core-on is {options.k_core_on!r}; pass data or train")
    return split(
        data,
        method,
        test=options.test,
        valid=valid,
        key=random_key(options.split_seed, "--split-seed"),
        ties=ties,
        order=order,
        folds=options.folds,
        fold=options.fold,
        k_core=options.k_core if on_train else None,
        k_core_on="train" if on_train and options.k_core is not None else "data",
    )


def describe(name: str, options: DataOptions, parts: Split) -> dict[str, Any]:
    """What a run folder keeps, so that `evaluate` can make the same split again and knows that it is the same.

    >>> data = Interactions.from_arrays([1] * 10, range(10))
    >>> described = describe("ratings.csv", DataOptions(), split_data(data, DataOptions()))
    >>> sorted(described), described["counts"]["test"]
    (['counts', 'data', 'fingerprint', 'options'], 2)
    """
    sizes = {part: len(held) for part, held in parts.parts().items()}
    return {
        "data": name if name in [record.name for record in datasets()] else _absolute(name),
        "options": values_of(options),
        "counts": {**parts.train.counts(), "interactions": sum(sizes.values()), **sizes},
        "fingerprint": fingerprint(parts),
    }


def split_again(
    described: Mapping[str, Any], *, moved_to: str | None, data_dir: str | None, kinds: Sequence[type] = ()
) -> Split:
    """Make the split of a run folder again.

    Args:
      described: what `describe` gave.
      moved_to: where the data are now, if not where they were.
      data_dir: where named data sets are now, likewise.
      kinds: classes of the caller; a reader among them may be named in the description.

    Raises:
      MismatchError: the split is not the one of the fit, because the data or the versions have changed.
      RunFolderError: a description that is damaged.
      JaxrecError: see `read_data` and `split_data`.
    """
    try:
        name = str(described["data"])
        stored: dict[str, Any] = dict(described["options"])
        options = DataOptions(**{**stored, "columns": tuple(stored["columns"])})
        counts, expected = dict(described["counts"]), str(described["fingerprint"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunFolderError(
            f"the run folder is damaged: what it says of its data lacks or misuses {error}; fit again"
        ) from None
    if data_dir is not None:
        options = dataclasses.replace(options, data_dir=data_dir)
    if options.format is not None and ":" in options.format:
        # A place that a file names is looked up among the caller's classes, and never imported.
        reader: Any = class_at(options.format, kinds)()
        options = dataclasses.replace(options, format=reader)
    try:
        # The filters are in the options by now, so those of the named data set are not looked up again.
        data, options = read_data(moved_to or name, options)
    except MissingFileError as error:
        raise MissingFileError(f"{error}; if the data have moved, name their place with --data or --data-dir") from None
    changed = f"the data {moved_to or name} are not those of the fit"
    remedy = "bring the old data back, or fit again"
    try:
        parts = split_data(data, options)
    except DataError as error:
        raise MismatchError(f"{changed}, and cannot be split as they were: {error}; {remedy}") from None
    if fingerprint(parts) != expected:
        now = describe(name, options, parts)["counts"]
        changes = [
            f"{now.get(key, 0):,} {key} (then {count:,})" for key, count in counts.items() if now.get(key) != count
        ]
        raise MismatchError(f"{changed}: {', '.join(changes) or 'other pairs, ratings or times'}; {remedy}")
    return parts


def fingerprint(parts: Split) -> str:
    """A hash (SHA-256, hexadecimal) of all parts of a split; the same data split in another way have another one.

    >>> data = Interactions.from_arrays([1] * 10, range(10))
    >>> one, other = (fingerprint(split_data(data, DataOptions(split_seed=seed))) for seed in (0, 1))
    >>> one == other
    False
    """
    digest = hashlib.sha256()
    for name, part in parts.parts().items():
        digest.update(f"{name} {part.fingerprint()}\n".encode())
    return digest.hexdigest()


def random_key(seed: int, flag: str) -> jax.Array:
    """The key of a seed.

    Raises:
      JaxrecError: a seed that does not fit in 32 bits.

    >>> random_key(-1, "--seed")
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: --seed must lie in 0..4294967295, got -1
    """
    if not 0 <= seed < 2**32:
        raise JaxrecError(f"{flag} must lie in 0..{2**32 - 1}, got {seed}")
    return jax.random.key(seed)


def _read_files(name: str, options: DataOptions, known: list[str]) -> Interactions:
    if options.data_dir is not None:
        raise JaxrecError(f"--data-dir is for named data sets, and {name!r} is none; the names are {', '.join(known)}")
    if not os.path.lexists(pathlib.Path(name).expanduser()):
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
        if near:
            raise DataError(f"no data set and no file is named {name!r}; did you mean {' or '.join(near)}?")
        if os.sep not in name and not pathlib.Path(name).suffix:
            raise DataError(f"no data set and no file is named {name!r}; the data sets are {', '.join(known)}")
    how: dict[str, Any] = {
        "format": options.format or "auto",
        "columns": _columns(options.columns),
        "delimiter": options.delimiter,
        "encoding": options.encoding,
        "items": options.items or "auto",
    }
    if options.test_file is not None:
        overlap: Any = options.overlap or "raise"
        return read_split(name, options.test_file, options.valid_file, overlap=overlap, **how)
    for flag, value in (("--valid-file", options.valid_file), ("--overlap", options.overlap)):
        if value is not None:
            raise JaxrecError(f"{flag} needs --test-file; DATA is then the file of the training part")
    return read(name, **how)


def _columns(words: tuple[str, ...]) -> Any:
    """Columns as `jaxrec.read` takes them."""
    if not words:
        return None
    if not any("=" in word for word in words):
        return [None if word == "-" else word for word in words]
    pairs = [word.partition("=") for word in words]
    return {role: (int(column) if column.isdigit() else column) if mark else None for role, mark, column in pairs}


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(pathlib.Path(path).expanduser().absolute())
