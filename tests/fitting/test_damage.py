"""Damaged and forged run folders: refused in one line, or they give the same lists."""

import io
import itertools
import json
import shutil
import struct
import zipfile

import jax
import numpy as np
import pytest
from forging import arrays_file, edit, put_arrays, read, restate, rewrite
from worlds import middle

import jaxrec
from jaxrec.errors import RunFolderError
from jaxrec.fitting import _archive

MODELS = {
    "popularity": jaxrec.Popularity(),
    "itemknn": jaxrec.ItemKNN(neighbors=3),
    "userknn": jaxrec.UserKNN(neighbors=3),
    "ease": jaxrec.EASE(),
    "random": jaxrec.Random(),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run folder for each model; nobody may change them."""
    root = tmp_path_factory.mktemp("saved")
    for name, model in MODELS.items():
        jaxrec.save(jaxrec.fit(model, middle(), key=jax.random.key(0)), root / name)
    return root


@pytest.fixture
def copied(saved, tmp_path):
    """A function that gives a fresh copy of a run folder, to damage."""
    numbers = itertools.count()
    return lambda name: shutil.copytree(saved / name, tmp_path / f"{name}-{next(numbers)}")


def lists(folder):
    return jaxrec.recommend(jaxrec.restore(folder), k=3).to_dict()


def refused(folder):
    """The one line of the refusal."""
    with pytest.raises(RunFolderError) as caught:
        lists(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def rewritten(path, content):
    """Write over a file of the same size; to empty it first costs milliseconds on some file systems."""
    with path.open("r+b") as file:
        file.write(content)


def test_no_flipped_byte_of_the_description_changes_a_list(copied):
    folder = copied("popularity")
    path, expected = folder / "model.json", lists(folder)
    whole = path.read_bytes()
    same = []
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ (0xFF if at % 5 == 0 else 1 << at % 8)]) + whole[at + 1 :]
        rewritten(path, changed)
        try:
            found = jaxrec.restore(folder)
        except RunFolderError:
            continue
        assert json.loads(changed) == json.loads(whole)  # white space, and what JSON writes in two ways
        same.append(found)
    assert len(same) < len(whole) / 20
    for found in same[:1]:
        assert jaxrec.recommend(found, k=3).to_dict() == expected


def test_no_flipped_byte_of_the_arrays_is_read(copied):
    folder = copied("popularity")
    path = arrays_file(folder)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        rewritten(path, whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(RunFolderError, match="is not the file"):
            jaxrec.restore(folder)


def replaced(member, content, packing=zipfile.ZIP_DEFLATED, *, more=()):
    """A change of a folder: other bytes for a member of the archive, and further members."""

    def change(folder):
        buffer = io.BytesIO()
        with zipfile.ZipFile(arrays_file(folder)) as old, zipfile.ZipFile(buffer, "w", packing) as new:
            for name in old.namelist():
                new.writestr(name, content if name == f"{member}.npy" else old.read(name))
            for name, extra in more:
                new.writestr(name, extra)
        put_arrays(folder, buffer.getvalue())

    return change


def header(shape, dtype="<f4"):
    """The header of an .npy file of the shape that a text says."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text


def cut(position, content=b"\xff" * 8):
    def change(folder):
        whole = arrays_file(folder).read_bytes()
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            info = archive.getinfo("scorer.counts.npy")
        at = info.header_offset + 30 + len(info.filename) + position
        put_arrays(folder, whole[:at] + content + whole[at + len(content) :])

    return change


def central(position, content):
    """Other bytes in each entry of the directory at the end of the archive."""

    def change(folder):
        whole = bytearray(arrays_file(folder).read_bytes())
        at = whole.find(b"PK\x01\x02")
        while at >= 0:
            whole[at + position : at + position + len(content)] = content
            at = whole.find(b"PK\x01\x02", at + 1)
        put_arrays(folder, bytes(whole))

    return change


def field(part, **changes):
    """A change of the fields of a part of the description, as a path of keys."""

    def change(folder):
        document = read(folder)
        at = document
        for key in part.split("."):
            at = at[int(key) if isinstance(at, list) else key]
        at.update(changes)
        edit(folder, **document)

    return change


def arrays(**changes):
    """Changes of arrays by functions."""

    def change(found):
        for name, function in changes.items():
            name = name.replace("__", ".")
            found[name] = function(found[name])

    return lambda folder: restate(folder, change)


def bumped(at, by):
    def change(array):
        array = array.copy()
        array[at] += by
        return array

    return change


FORGED = {
    "an empty archive": ("popularity", lambda f: put_arrays(f, b"")),
    "a cut archive": ("popularity", lambda f: put_arrays(f, arrays_file(f).read_bytes()[:-30])),
    "damaged data": ("popularity", cut(20)),
    "an unknown packing": ("popularity", central(10, b"\x63\0")),
    "a password": ("popularity", central(8, b"\x01\0")),
    "a size of 4 GB": ("popularity", central(24, b"\xf0\xff\xff\xff")),
    "a shape of 400 digits": ("popularity", replaced("scorer.counts", header("(1" + "0" * 400 + ",)") + bytes(64))),
    "a negative shape": ("popularity", replaced("scorer.counts", header("(-3,)"))),
    "a shape of words": ("popularity", replaced("scorer.counts", header("('a',)"))),
    "a header that is deep": ("popularity", replaced("scorer.counts", header("-" * 5000 + "1") + bytes(64))),
    "a header of many brackets": ("popularity", replaced("scorer.counts", header("(" * 3000 + ")" * 3000))),
    "objects": ("popularity", replaced("scorer.counts", header("(24,)", "|O") + bytes(24 * 8))),
    "no header": ("popularity", replaced("scorer.counts", b"")),
    "too few bytes": ("popularity", replaced("scorer.counts", header("(24,)") + bytes(90))),
    "too many bytes": ("popularity", replaced("scorer.counts", header("(24,)") + bytes(100))),
    "an array of another dtype": ("popularity", replaced("scorer.counts", header("(24,)", "<i4") + bytes(96))),
    "an array that nobody names": ("popularity", replaced("", b"", more=[("unused.npy", header("(1,)") + bytes(4))])),
    "an array twice": ("random", replaced("", b"", more=[("users.npy", header("(30,)", "<i8") + bytes(240))])),
    "numbers that are no letters": (
        "popularity",
        arrays(users=lambda ids: np.frombuffer(np.full(len(ids), 0x7FFFFFFF, "<u4").tobytes(), "<U1")),
    ),
    "ids twice": ("popularity", arrays(users=bumped(0, 1))),
    "ids that are fractions": ("popularity", arrays(users=lambda ids: ids + 0.5)),
    "seen items below 0": ("popularity", arrays(seen__items=lambda items: items - 2000)),
    "seen items above I": ("popularity", arrays(seen__items=bumped(-1, 100))),
    "seen items out of order": ("popularity", arrays(seen__items=lambda items: items[::-1])),
    "seen items as floats": ("popularity", arrays(seen__items=lambda items: items.astype(np.float32))),
    "seen rows that go back": ("popularity", arrays(seen__indptr=bumped(3, 1000))),
    "seen rows that end early": ("popularity", arrays(seen__indptr=bumped(-1, -1))),
    "seen items are a number": ("popularity", field("seen.fields", items=5)),
    "seen items are a scorer": ("popularity", field("seen", kind="jaxrec.scorers:TableScorer")),
    "counts of two dimensions": ("popularity", arrays(scorer__counts=lambda counts: counts[None])),
    "counts as integers": ("popularity", arrays(scorer__counts=lambda counts: counts.astype(np.int32))),
    "users that are no number": ("popularity", field("scorer.fields", num_users=30.0)),
    "a scorer of other users": ("popularity", field("scorer.fields", num_users=31)),
    "a path of another array": ("popularity", field("scorer.fields.counts", path="users")),
    "a path that is none": ("popularity", field("scorer.fields.counts", path=["users"])),
    "a shape that is none": ("popularity", field("scorer.fields.counts", shape="abc")),
    "a dtype that is none": ("popularity", field("scorer.fields.counts", dtype="<f8")),
    "info that is a list": ("popularity", lambda f: edit(f, info=[])),
    "info with other words": ("popularity", field("info", valid="high")),
    "options of a model": ("popularity", lambda f: edit(f, options=read(f)["model"] and {
        "kind": "jaxrec.models:MF", "fields": {}})),
    "no list of columns": ("popularity", lambda f: edit(f, item_columns=None)),
    "no hash of the arrays": ("popularity", lambda f: edit(f, arrays_sha256=None)),
    "a path for the hash of the arrays": ("popularity", lambda f: edit(f, arrays_sha256="../../../etc/passwd")),
    "longest is a list": ("itemknn", field("scorer.fields", longest=[])),
    "longest is too short": ("itemknn", field("scorer.fields", longest=1)),
    "longest fills the memory": ("itemknn", field("scorer.fields", longest=10**9)),
    "a shape of words in a matrix": ("itemknn", field("scorer.fields.weights.fields", shape=["a", "b"])),
    "a transpose of its own": ("itemknn", field("scorer.fields.weights.fields", transposed=None)),
    "another matrix for the transpose": ("itemknn", arrays(scorer__weights__transposed__0=lambda data: data + 1)),
    "the transpose in another order": ("itemknn", arrays(scorer__weights__transposed__2=lambda columns: columns[::-1])),
    "a column outside": ("itemknn", arrays(scorer__weights__columns=bumped(0, 1000))),
    "a row outside": ("itemknn", arrays(scorer__weights__rows=bumped(-1, 1000))),
    "rows that begin elsewhere": ("itemknn", arrays(scorer__weights__indptr=bumped(3, 1))),
    "indices of 64 bits": ("itemknn", arrays(scorer__weights__rows=lambda rows: rows.astype(np.float32))),
    "a history of others": ("itemknn", arrays(scorer__history__items=lambda items: items + 100)),
    "neighbors outside": ("userknn", arrays(scorer__neighbors=bumped((0, 0), 1000))),
    "neighbors below 0": ("userknn", arrays(scorer__neighbors=lambda neighbors: neighbors - 100)),
    "fewer neighbors than weights": ("userknn", arrays(scorer__neighbors=lambda neighbors: neighbors[:, 1:])),
    "weights of one dimension": ("ease", arrays(scorer__weights=lambda weights: weights[0])),
    "weights of a half": ("ease", arrays(scorer__weights=lambda weights: weights[:, 1:])),
    "a key of three": ("random", arrays(scorer__key_data=lambda data: np.zeros(3, np.uint32))),
    "a key of floats": ("random", arrays(scorer__key_data=lambda data: data.astype(np.float32))),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_folder_is_refused_in_a_line(name, copied):
    model, damage = FORGED[name]
    folder = copied(model)
    damage(folder)
    message = refused(folder)
    assert "fit again" in message
    assert "is not what its sha256" not in message  # the forger is found by what does not fit


def old(folder):
    """Make a folder of format 2: arrays under their old name, nothing stated of them, no hash of the description."""
    document = read(folder)
    arrays_file(folder).rename(folder / "arrays.npz")

    def plain(part):
        if isinstance(part, list):
            return [plain(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {
            key: plain(each) for key, each in part.items() if part.get("kind") != "array" or key in ("kind", "path")
        }

    del document["sha256"]
    document = {key: plain(part) for key, part in document.items()} | {"format_version": 2}
    (folder / "model.json").write_text(json.dumps(document))
    return folder


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", FORGED)
def test_what_does_not_fit_is_refused_in_the_format_of_0_2_too(name, copied):
    model, damage = FORGED[name]
    folder = old(copied(model))
    lists(folder)
    damage(folder)
    refused(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"format": 1' + "0" * 5000 + "}", "", "\0", "NaN"])
def test_a_description_that_is_none_is_refused_in_a_line(text, copied):
    folder = copied("popularity")
    (folder / "model.json").write_text(text)
    refused(folder)


@pytest.mark.parametrize("version", [0, -1, 4, 99, "3", 3.0, True, None, [], "9" * 1000])
def test_another_format_version_is_refused(version, copied):
    folder = copied("popularity")
    document = read(folder) | {"format_version": version}
    (folder / "model.json").write_text(json.dumps(document))
    assert "format version" in refused(folder)


def test_a_description_of_format_3_without_its_hash_is_refused(copied):
    folder = copied("popularity")
    document = read(folder)
    del document["sha256"]
    (folder / "model.json").write_text(json.dumps(document))
    assert "is not what its sha256 was made of" in refused(folder)
    # Nor does it pass for an older one.
    (folder / "model.json").write_text(json.dumps(document | {"format_version": 2}))
    assert "arrays.npz cannot be read" in refused(folder)


def test_a_bomb_is_not_unpacked(copied):
    folder = copied("popularity")
    replaced("scorer.counts", header("(40000000,)") + bytes(160_000_000))(folder)
    with pytest.raises(RunFolderError, match=r"[0-9,]+ bytes would unpack to 160,0"):
        jaxrec.restore(folder)


def test_a_model_of_zeros_is_saved_so_that_it_can_be_read_back(tmp_path):
    """Compressed, 1.6 MB of zeros would be 1.7 KB, which is what a bomb looks like."""
    zeros = {"a": np.zeros(200_000)}
    content = _archive.packed(zeros)
    assert len(content) > 1_600_000
    np.testing.assert_array_equal(_archive.unpacked(content, {"a": _archive.Stated()})["a"], zeros["a"])


def test_what_cannot_be_read_back_is_not_saved(tmp_path):
    fitted = jaxrec.fit(jaxrec.Popularity(), middle(), key=jax.random.key(0))
    half = jax.numpy.zeros(3, jax.numpy.bfloat16)
    fitted = type(fitted)(**{**vars(fitted), "variables": {"params": {"x": half}}})
    with pytest.raises(RunFolderError, match=r"variables.params.x has dtype bfloat16, which cannot be saved"):
        jaxrec.save(fitted, tmp_path / "run")
    twice = {"a.b": np.zeros(1), "a": {"b": np.ones(1)}}
    fitted = type(fitted)(**{**vars(fitted), "variables": twice})
    with pytest.raises(RunFolderError, match=r"two arrays would have the name variables.a.b"):
        jaxrec.save(fitted, tmp_path / "run")


def test_rewritten_arrays_are_noticed(copied):
    folder = copied("popularity")
    rewrite(folder, lambda found: found.update({"scorer.counts": found["scorer.counts"].astype(np.float64)}))
    assert "scorer.counts is <f8 (24,), not <f4 (24,)" in refused(folder)
