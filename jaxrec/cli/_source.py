"""From DATA and its options to a split, and back from the description in a run folder."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxrec._checks import digits
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._parsing import values_of
from jaxrec.data._filters import KEEP, Preparation, prepare
from jaxrec.data._interactions import Interactions
from jaxrec.data.datasets._catalog import datasets, load
from jaxrec.data.reading._readers import read, read_split
from jaxrec.data.splitting._boundaries import RepeatsWarning, repeats_note
from jaxrec.data.splitting._parts import Split
from jaxrec.data.splitting._splits import split
from jaxrec.errors import DataError, JaxrecError, MismatchError, MissingFileError, RunFolderError
from jaxrec.progress import work
from jaxrec.protocols import ProcessGroup
from jaxrec.registry import name_of, names

_FILE_OPTIONS = (
    *("test_file", "valid_file", "overlap", "items", "format", "columns", "delimiter", "header", "no_header", "quotes"),
    *("no_quotes", "decimal", "time_format", "missing", "encoding", "item_columns"),
)
_SWITCHES = ("header", "quotes")  # each with a --no-... beside it, and neither by default
_SPLIT_OPTIONS = ("test", "valid", "valid_order", "ties", "order", "folds", "fold")
_PATHS = ("test_file", "valid_file", "items", "data_dir")


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
    _check_words(options)
    options = dataclasses.replace(options, **{key: _absolute(getattr(options, key)) for key in _PATHS})
    if name in known:
        given = [f"--{key.replace('_', '-')}" for key in _FILE_OPTIONS if getattr(options, key)]
        if given:
            raise JaxrecError(f"{given[0]} is for files, and {name} is a named data set; write ./{name} for a file")
        with work(f"reading {name}"):
            data = load(name, raw=True, data_dir=options.data_dir, group=_group())
        steps = known[name].preparation or Preparation(deduplicate=False)
    else:
        with work(f"reading {pathlib.PurePath(name).name}"):
            data = _read_files(name, options, list(known))
        steps = Preparation(deduplicate=data.part is None)
    if options.raw:
        steps = Preparation(deduplicate=False)
    keep: Any = options.repeats or options.duplicates
    if keep is not None:
        steps = dataclasses.replace(steps, deduplicate=keep != "keep" and keep)
    least = steps.min_rating if options.min_rating is None else options.min_rating
    core = steps.k_core if options.k_core is None else options.k_core
    before = core if options.k_core_on == "data" else None
    data = prepare(data, min_rating=least, deduplicate=steps.deduplicate, k_core=before)
    return data, dataclasses.replace(options, min_rating=least, k_core=core)


def split_data(data: Interactions, options: DataOptions) -> Split:
    """Hold out a test and a validation part, by the given splitter or the default for the data.

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
    method = options.split or ("predefined" if data.part is not None else fitting)
    on_train = options.k_core_on == "train"
    with warnings.catch_warnings():
        # A note of the split says it too: told once, where the data are read for a fit, and not under --quiet.
        warnings.simplefilter("ignore", RepeatsWarning)
        return split(
            data,
            method,
            key=random_key(options.split_seed, "--split-seed"),
            k_core=options.k_core if on_train else None,
            k_core_on="train" if on_train and options.k_core is not None else "data",
            **{name: getattr(options, name) for name in _SPLIT_OPTIONS},
        )


def describe(name: str, options: DataOptions, parts: Split) -> dict[str, Any]:
    """Describe data and split for a run folder, so that `evaluate` can make the same split again and check it.

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
    described: Mapping[str, Any], *, moved_to: str | None, data_dir: str | None, kinds: Sequence[Any] = ()
) -> Split:
    """Make the split of a run folder again.

    Args:
      described: what `describe` gave.
      moved_to: where the data are now, if not where they were.
      data_dir: where named data sets are now, likewise.
      kinds: readers and splitters from outside that the run folder may name, since a file never makes anything be
        imported.

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
    given = {
        name: _of_kinds("reader" if name == "format" else "splitter", getattr(options, name), kinds)
        for name in ("format", "split")
    }
    options = dataclasses.replace(options, **given)
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
    told = repeats_note(parts.test.seen_before)  # by the fit, whose options decide it
    return dataclasses.replace(parts, notes=tuple(text for text in parts.notes if text != told))


def _of_kinds(kind: str, word: Any, kinds: Sequence[Any]) -> Any:
    """A word of a run folder, where it is a known name; a class of `kinds`, where it is the place of one."""
    if not isinstance(word, str) or word == "auto" or word in names(kind):
        return word
    for one in kinds:
        if name_of(kind, one) == word:
            return one
    raise RunFolderError(
        f"the run folder names the {kind} {word!r}, which is none of the library, and what a file names is not "
        "imported; name it with --kind as well"
    )


def fingerprint(parts: Split) -> str:
    """Hash all parts of a split (SHA-256, hexadecimal); another split of the same data has another hash.

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
    """Make the key of a seed.

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
        **{name: getattr(options, name) for name in ("delimiter", "decimal", "time_format", "missing", "encoding")},
        **{name: _either(options, name) for name in _SWITCHES},
        "format": options.format or "auto",
        "columns": columns_of(options.columns),
        "items": None if options.items == "none" else options.items or "auto",
        "item_columns": item_columns_of(options.item_columns),
        "group": _group(),
    }
    if options.test_file is not None:
        overlap: Any = options.overlap or "raise"
        return read_split(name, options.test_file, options.valid_file, overlap=overlap, **how)
    for flag, value in (("--valid-file", options.valid_file), ("--overlap", options.overlap)):
        if value is not None:
            raise JaxrecError(f"{flag} needs --test-file; DATA is then the file of the training part")
    return read(name, **how)


def _group() -> ProcessGroup | None:
    """The processes that read together; None for one."""
    from jaxrec.parallel import Processes  # an import that other commands do without

    group = Processes()
    return group if group.count > 1 else None


def _check_words(options: DataOptions) -> None:
    """Refuse words that mean nothing, before anything is read."""
    if options.overlap not in (None, "raise", "drop"):
        why = "; a split holds a pair in one part only" if options.overlap == "keep" else ""
        raise JaxrecError(f"--overlap is {options.overlap!r}; pass raise or drop{why}")
    for flag, word in (("--repeats", options.repeats), ("--duplicates", options.duplicates)):
        if word not in (None, *KEEP, "keep"):
            raise JaxrecError(f"{flag} is {word!r}; pass first, last, highest, lowest or keep")
        if word is not None and options.raw:
            raise JaxrecError(f"--raw takes the data as they are; leave {flag} out")
    if options.repeats is not None and options.duplicates is not None:
        raise JaxrecError("--duplicates is the name of 0.1 for --repeats; leave it out")
    for name in _SWITCHES:
        _either(options, name)
    if options.k_core_on not in ("data", "train"):
        raise JaxrecError(f"--k-core-on is {options.k_core_on!r}; pass data or train")


def _either(options: DataOptions, name: str) -> bool | None:
    """A flag that may be on, off or not given."""
    yes, no = getattr(options, name), getattr(options, f"no_{name}")
    if yes and no:
        raise JaxrecError(f"--{name} and --no-{name} are both given; pass one")
    return True if yes else False if no else None


def columns_of(words: tuple[str, ...]) -> Any:
    """The words after --columns as `jaxrec.read` takes them.

    >>> columns_of(("user", "-", "item")), columns_of(("user=customer", "item=2"))
    (['user', None, 'item'], {'user': 'customer', 'item': 2})

    Raises:
      JaxrecError: a word without = beside one with it.
    """
    if not words:
        return None
    if not any("=" in word for word in words):
        return [None if word == "-" else word for word in words]
    pairs = [word.partition("=") for word in words]
    for role, mark, _ in pairs:
        if not mark:
            raise JaxrecError(f"--columns has {role!r} beside ROLE=COLUMN; write {role}=COLUMN, or {role}=- for none")
    places = [digits(column) for _, _, column in pairs]
    return {
        role: None if column in ("", "-") else column if at is None else at
        for (role, _, column), at in zip(pairs, places, strict=True)
    }


def item_columns_of(words: tuple[str, ...]) -> dict[str, Any] | None:
    """The words after --item-columns as `jaxrec.read` takes them.

    Raises:
      JaxrecError: a word without a role.

    >>> item_columns_of(("item=sku", "title=2"))
    {'item': 'sku', 'title': 2}
    """
    for word in words:
        if "=" not in word:
            raise JaxrecError(f"--item-columns {word}: say of which role, such as item={word} or title={word}")
    return columns_of(words)


def _absolute(path: str | None) -> str | None:
    return path if path in (None, "none") else str(pathlib.Path(path).expanduser().absolute())


def placed(name: str, options: DataOptions) -> tuple[str, dict[str, str | None]]:
    """The data by name or absolute path, and the absolute paths among the options, for a command run elsewhere later.

    >>> placed("movielens-small", DataOptions(items="none"))
    ('movielens-small', {'test_file': None, 'valid_file': None, 'items': 'none', 'data_dir': None})
    """
    known = name in [record.name for record in datasets()]
    return name if known else str(_absolute(name)), {path: _absolute(getattr(options, path)) for path in _PATHS}
