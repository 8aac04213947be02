"""Artifacts of `export`: the lists of a fresh process without jaxrec, new users, damage, and what is refused."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds

import jaxrec
from jaxrec.errors import JaxrecError
from jaxrec.models import GraphFilter, LowPass, OneHop
from jaxrec.scorers import FactorScorer, TableScorer
from jaxrec.serving import sides
from jaxrec.serving._folder import HEAD, manifest_bytes
from jaxrec.serving._index import build_index, completed, recall_of

MODELS = {
    "mf": jaxrec.MF(dim=4),
    "ease": jaxrec.EASE(l2=2.0),
    "itemknn": jaxrec.ItemKNN(neighbors=5),
    "sansa": jaxrec.SANSA(l2=2.0, neighbors=5),
    "userknn": jaxrec.UserKNN(neighbors=5),
    "popularity": jaxrec.Popularity(),
    "filter": GraphFilter(terms=(OneHop(), LowPass(rank=4))),
}
LOADERS = ("serve_numpy", "serve_jax")
NEEDED = {"serve_numpy": {"numpy"}, "serve_jax": {"numpy", "jax", "flatbuffers"}}

# Serves in a process of its own, whose path has the artifact and the installed packages, and prints what it got.
SERVE = """
import json, sys
folder, loader, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, folder)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jaxrec", "flax", "optax", "safetensors", "usearch"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
server = __import__(loader).Server(folder)
out = {how: [[user, found] for user, found in server.recommend(server.ids["users"], **words).items()]
       for how, words in asked["recommend"].items()}
print(json.dumps(out))
"""


@functools.cache
def fitted(name):
    words = {"epochs": 3} if name == "mf" else {}
    return jaxrec.fit(MODELS[name], worlds.middle(), key=jax.random.key(0), **words)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The folder of the artifact of a model; nobody may change it."""

    @functools.cache
    def made(name):
        folder = tmp_path_factory.mktemp("artifacts") / name
        jaxrec.export(fitted(name), folder)
        return folder

    return made


@pytest.fixture
def server(monkeypatch):
    """A server in this process, with the loaders of its own folder."""

    def make(folder, loader="serve_numpy"):
        monkeypatch.syspath_prepend(str(folder))
        for name in (*LOADERS, "serve_new", "serve_index"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(loader).Server(folder)

    return make


def serve(folder, loader, recommend):
    """What a fresh process says: lists by the kind of question."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(folder), loader, json.dumps({"recommend": recommend})]
    done = subprocess.run(
        [sys.executable, "-P", "-c", SERVE, *words], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_same(found, wanted):
    """Lists agree item by item; where two change places, their scores differ by less than 1e-6 of the list's largest.

    A sum of float32 products is rounded relative to its terms and not to itself, which may be near 0: BLAS and XLA add
    in other orders.
    """
    assert [user for user, _ in found] == [user for user, _ in wanted]
    for (_, mine), (_, theirs) in zip(found, wanted, strict=True):
        assert len(mine) == len(theirs)
        largest = max(abs(other.score) for other in theirs)
        for (item, title, score), other in zip(mine, theirs, strict=True):
            close = abs(score - other.score) <= 1e-6 * largest
            assert close
            assert (item, title) == (other.item, other.title) or close


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_process_without_jaxrec_gives_the_lists_of_recommend(artifact, name, loader):
    model = fitted(name)
    asked = {"usual": {"k": 5}, "all": {"k": 24}, "own": {"k": 7, "filter_seen": False}}
    found = serve(artifact(name), loader, asked)
    check_same(found["usual"], list(jaxrec.recommend(model, k=5)))
    check_same(found["all"], list(jaxrec.recommend(model, k=24)))  # all that are left: fewer than k
    check_same(found["own"], list(jaxrec.recommend(model, k=7, filter_seen=False)))
    assert all(len(mine) < 24 for _, mine in found["all"])


@pytest.mark.parametrize("name", ["ease", "itemknn", "popularity"])
def test_a_new_user_with_the_items_of_a_known_one_gets_the_same_list(artifact, server, name):
    model = fitted(name)
    serving = server(artifact(name), "serve_new")
    own = model.seen.of(3)
    assert serving.recommend_new(own.tolist(), k=6) == serving.recommend([3], k=6)[3]
    longer = list(range(20))  # longer than any history of the data
    assert max(np.diff(model.seen.indptr)) < 20
    assert {item for item, _, _ in serving.recommend_new(longer, k=24)} == set(range(20, 24))


@pytest.mark.parametrize("name", ["mf", "userknn"])
def test_other_models_say_that_they_have_no_list_for_a_new_user(artifact, server, name):
    with pytest.raises(ValueError, match=f"no list for a new user of 1 items by the model {name}"):
        server(artifact(name), "serve_new").recommend_new([0])


@pytest.mark.parametrize("loader", LOADERS)
def test_what_a_loader_refuses_is_told_in_a_line(artifact, server, loader):
    serving = server(artifact("ease"), loader)
    with pytest.raises(ValueError, match=r"'nobody'.* not among the 30 users of the artifact"):
        serving.recommend([0, "nobody"])
    for k in (0, -1, 25):
        with pytest.raises(ValueError, match=f"k is {k}; this artifact gives lists of 1 to 24 items"):
            serving.recommend([0], k=k)


def test_new_users_are_refused_in_a_line(artifact, server):
    serving = server(artifact("ease"), "serve_new")
    with pytest.raises(ValueError, match=r"99.* not among the 24 items"):
        serving.recommend_new([0, 99])
    with pytest.raises(ValueError, match="no list for a new user of 0 items"):
        serving.recommend_new([])
    with pytest.raises(ValueError, match="k is 0"):
        serving.recommend_new([0], k=0)
    assert serving.recommend([3], k=6)[3]  # a server is as before, whomever else it served


@pytest.mark.parametrize("loader", LOADERS)
def test_ties_go_to_the_item_that_comes_first_and_zeros_are_equal(tmp_path, server, loader):
    table = jnp.array([[0.0, -0.0, 1e-40, 5.0, -jnp.inf, 5.0]])
    data = jaxrec.from_arrays([0] * 6, range(6)).select([4, 5])
    model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    model = dataclasses.replace(model, scorer=TableScorer(jnp.where(jnp.isfinite(table), table, -1e38)))
    jaxrec.export(model, tmp_path)
    found = server(tmp_path, loader).recommend([0], k=4)[0]
    assert [item for item, _, _ in found] == [3, 0, 1, 2]  # 5, then three scores that count as 0.0; 4 and 5 are seen


def test_one_program_serves_all_lengths_and_up_to_as_many_users(artifact, server):
    serving = server(artifact("mf"), "serve_jax")
    serving.recommend(list(range(16)), k=3)
    before = serving.run._cache_size()
    for count in (9, 13, 16):
        serving.recommend(list(range(count)), k=count)
    assert serving.run._cache_size() == before == 1


@pytest.mark.parametrize("ids", [["ä", "日本", "x\ud800", "a\n\x00b"], [2**62, -5, 0, 7]])
def test_ids_of_all_kinds_come_back(tmp_path, server, ids):
    data = jaxrec.from_arrays(ids, ids[::-1])
    jaxrec.export(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)), tmp_path)
    serving = server(tmp_path)
    lists = serving.recommend(ids, k=2)
    assert list(lists) == ids
    assert {item for mine in lists.values() for item, _, _ in mine} <= set(ids)
    assert list(serving.recommend(list(map(str, ids)), k=1)) == ids  # as `recommend`: by value, then by text


def test_users_without_an_interaction_are_left_out_and_told(tmp_path, server):
    data = jaxrec.from_arrays(["a", "b", "c", "c"], ["x", "x", "x", "y"]).select([0, 2, 3])
    written = jaxrec.export(jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0)), tmp_path)
    assert written.notes == ("1 users without an interaction in the fitted part left out",)
    serving = server(tmp_path)
    assert list(serving.recommend(["a", "c"], k=1)) == ["a", "c"]
    with pytest.raises(ValueError, match="'b' is not among the 2 users"):
        serving.recommend(["b"], k=1)


def test_every_flipped_byte_is_refused(tmp_path, server):
    jaxrec.export(fitted("ease"), tmp_path)
    for path in sorted(tmp_path.iterdir()):
        if path.suffix == ".py":
            continue
        content = path.read_bytes()
        for at in sorted({0, 9, len(content) // 3, len(content) // 2, len(content) - 1}):
            path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
            with pytest.raises(ValueError, match=r"is damaged") as caught:
                server(tmp_path, "serve_jax")
            assert "\n" not in str(caught.value)
        path.write_bytes(content[:-1])
        with pytest.raises(ValueError, match=r"is damaged"):
            server(tmp_path, "serve_jax")
        path.write_bytes(content)
    assert server(tmp_path, "serve_jax").recommend([0], k=1)


def test_the_files_are_safetensors_that_others_read(artifact):
    peer = pytest.importorskip("safetensors.numpy")
    manifest = json.loads((artifact("mf") / "manifest.json").read_bytes())
    model = fitted("mf")
    users = peer.load_file(artifact("mf") / manifest["files"]["users"]["name"])
    np.testing.assert_array_equal(users["vectors"], np.asarray(model.scorer.users))
    assert {name: list(one.shape) for name, one in users.items()} == {
        name: told["shape"] for name, told in manifest["tensors"]["users"].items()
    }
    np.testing.assert_array_equal(users["seen"], model.seen.items)
    assert manifest["sha256"] in HEAD.decode() % manifest["sha256"]


def test_the_programs_are_for_three_platforms_and_have_no_custom_call_of_a_library(artifact):
    manifest = json.loads((artifact("itemknn") / "manifest.json").read_bytes())
    for name in ("score", "top_k"):
        content = (artifact("itemknn") / manifest["files"][name]["name"]).read_bytes()
        program = jax.export.deserialize(bytearray(content))
        assert program.platforms == ("cpu", "cuda", "tpu")
        assert "cpu_csr_sparse_dense_ffi" not in program.mlir_module()


@pytest.mark.parametrize("loader", LOADERS)
def test_a_loader_is_one_file_of_sixty_lines_at_most(artifact, tmp_path, loader):
    served = tmp_path / "served"
    served.mkdir()
    for path in artifact("mf").iterdir():
        if path.is_file() and (path.suffix != ".py" or path.stem == loader):  # no other file of Python beside it
            (served / path.name).write_bytes(path.read_bytes())
    assert len((served / f"{loader}.py").read_text().splitlines()) <= 60
    check_same(serve(served, loader, {"usual": {"k": 5}})["usual"], list(jaxrec.recommend(fitted("mf"), k=5)))


def test_another_model_replaces_an_artifact_and_its_files(tmp_path, server):
    jaxrec.export(fitted("ease"), tmp_path)
    before = set(tmp_path.iterdir())
    jaxrec.export(fitted("itemknn"), tmp_path)
    assert server(tmp_path).manifest["model"] == "itemknn"
    manifest = json.loads((tmp_path / "manifest.json").read_bytes())
    assert {path.name for path in tmp_path.iterdir()} == {
        "manifest.json",
        *(told["name"] for told in manifest["files"].values()),
    }
    assert len(before) == len(set(tmp_path.iterdir()))


def test_the_same_model_gives_the_same_bytes(artifact, tmp_path):
    jaxrec.export(fitted("ease"), tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (artifact("ease") / path.name).read_bytes()


@pytest.mark.parametrize("broken", ["items", "manifest.json", "serve_jax.py"])
def test_a_failed_write_leaves_the_artifact_before(tmp_path, server, monkeypatch, broken):
    jaxrec.export(fitted("ease"), tmp_path)
    replace = os.replace

    def full(source, target):
        if pathlib.Path(target).name.startswith(broken):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(JaxrecError, match="cannot be written: No space left on device"):
        jaxrec.export(fitted("itemknn"), tmp_path)
    monkeypatch.setattr(os, "replace", replace)
    assert server(tmp_path, "serve_jax").manifest["model"] == "ease"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    jaxrec.export(fitted("itemknn"), tmp_path)  # over what was left
    assert server(tmp_path).manifest["model"] == "itemknn"


def test_foreign_files_are_never_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(JaxrecError, match=r"has other files \(notes.txt\); name a new or an empty folder"):
        jaxrec.export(fitted("ease"), tmp_path)
    for name in ("manifest.json", "serve_jax.py"):
        folder = tmp_path / name[:5]
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(JaxrecError, match="not"):
            jaxrec.export(fitted("ease"), folder)
        assert [path.read_text() for path in folder.iterdir()] == ["{}"]
    with pytest.raises(JaxrecError, match="is a file; name a folder"):
        jaxrec.export(fitted("ease"), tmp_path / "notes.txt")


def test_a_loader_that_was_changed_and_files_beside_an_artifact_are_kept(tmp_path):
    jaxrec.export(fitted("ease"), tmp_path)
    (tmp_path / "README").write_text("mine")
    jaxrec.export(fitted("itemknn"), tmp_path)
    assert (tmp_path / "README").read_text() == "mine"
    with (tmp_path / "serve_numpy.py").open("a") as file:
        file.write("# mine")
    with pytest.raises(JaxrecError, match=r"serve_numpy.py' is not as jaxrec wrote it"):
        jaxrec.export(fitted("ease"), tmp_path)


def test_a_link_is_replaced_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = tmp_path / "served"
    jaxrec.export(fitted("ease"), folder)
    loader = folder / "serve_numpy.py"
    loader.rename(tmp_path / "loader")
    loader.symlink_to(tmp_path / "loader")
    content = (tmp_path / "loader").read_bytes()
    jaxrec.export(fitted("itemknn"), folder)
    assert not loader.is_symlink()
    assert (tmp_path / "loader").read_bytes() == content


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "10", None])
def test_a_k_that_is_no_length_is_refused(tmp_path, k):
    with pytest.raises(JaxrecError, match=r"k is .*; pass a whole number of at least 1"):
        jaxrec.export(fitted("ease"), tmp_path / "out", k=k)
    assert not (tmp_path / "out").exists()


def test_random_and_unknown_scorers_are_refused(tmp_path):
    model = jaxrec.fit(jaxrec.Random(), worlds.middle(), key=jax.random.key(0))
    with pytest.raises(JaxrecError, match="random scores has nothing to serve"):
        jaxrec.export(model, tmp_path)
    with pytest.raises(JaxrecError, match=r"scorer of type object, .* jaxrec.serving.sides.register\(object\)"):
        jaxrec.export(dataclasses.replace(model, scorer=object()), tmp_path)
    with pytest.raises(JaxrecError, match="model is of type dict; pass a fitted model"):
        jaxrec.export({}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_scorer_of_ones_own_joins_in(tmp_path, server):
    @dataclasses.dataclass(frozen=True)
    class Negated:
        inner: FactorScorer

    @sides.register
    def _(scorer: Negated) -> jaxrec.serving.Sides:
        return sides(dataclasses.replace(scorer.inner, items=-scorer.inner.items))

    model = fitted("mf")
    jaxrec.export(dataclasses.replace(model, scorer=Negated(model.scorer)), tmp_path)
    lists = [server(tmp_path).recommend([0], k=24)[0], jaxrec.recommend(model, [0], k=24)[0]]
    assert [item for item, _, _ in lists[0]] == [one.item for one in reversed(lists[1])]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path, bad):
    model = fitted("mf")
    scorer = dataclasses.replace(model.scorer, items=model.scorer.items.at[3, 1].set(bad))
    with pytest.raises(JaxrecError, match="vectors of the items are not finite"):
        jaxrec.export(dataclasses.replace(model, scorer=scorer), tmp_path)


@pytest.mark.parametrize("loader", LOADERS)
def test_scores_that_overflow_are_refused_by_the_loader(tmp_path, server, loader):
    model = fitted("mf")
    large = jax.tree.map(lambda vectors: jnp.full_like(vectors, 3e38), model.scorer)
    jaxrec.export(dataclasses.replace(model, scorer=large), tmp_path)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="cannot be ranked"):
        server(tmp_path, loader).recommend([0])


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JaxrecError, match=r'export needs flatbuffers: pip install "jaxrec\[export\]"'):
        jaxrec.export(fitted("ease"), tmp_path)


def test_norm_completion_turns_inner_products_into_distances():
    rng = np.random.default_rng(0)
    items, user = rng.normal(size=(50, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    points = completed(items)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(items, axis=1).max(), rtol=1e-5)
    distances = np.linalg.norm(points - np.append(user, np.float32(0)), axis=1)
    np.testing.assert_array_equal(np.argsort(distances), np.argsort(-(items @ user)))


def test_an_index_has_its_measured_recall_and_serves(tmp_path, server):
    pytest.importorskip("usearch")
    written = jaxrec.export(fitted("mf"), tmp_path, index=True)
    # The index keeps 256 candidates of 24 items, so nothing can be missed.
    assert written.manifest["index"]["recall@10"] == written.manifest["index"]["recall@20"] == 1
    assert "recall@50" not in written.manifest["index"]
    lists = server(tmp_path, "serve_index").recommend(list(range(30)), k=5)
    check_same(list(lists.items()), list(jaxrec.recommend(fitted("mf"), k=5)))
    jaxrec.export(fitted("mf"), tmp_path)
    assert not [path.name for path in tmp_path.iterdir() if "index" in path.name]
    with pytest.raises(JaxrecError, match="index is True, and ease has no vectors of items"):
        jaxrec.export(fitted("ease"), tmp_path, index=True)


def test_the_index_finds_nearly_all_of_the_best_items_though_their_norms_differ():
    pytest.importorskip("usearch")
    rng = np.random.default_rng(0)
    items = (rng.normal(size=(3000, 16)) * rng.uniform(0.2, 1, (3000, 1))).astype(np.float32)
    users = rng.normal(size=(50, 16)).astype(np.float32)
    exact = np.argsort(-(users @ items.T), axis=1)
    found = build_index(items).search(np.pad(users, ((0, 0), (0, 1))), 20).keys
    share = np.mean([len(np.intersect1d(one, best[:20])) / 20 for one, best in zip(found, exact, strict=True)])
    assert 0.95 < share < 1
    assert recall_of(build_index(items), users, items)["recall@20"] == pytest.approx(share, abs=0.02)


def test_the_manifest_is_json_whose_first_line_has_the_hash_of_the_rest():
    content = manifest_bytes({"model": "mf", "users": 3})
    head, _, body = content.partition(b"\n")
    assert head.decode() == f'{{"format": "jaxrec-artifact 1", "sha256": "{hashlib.sha256(body).hexdigest()}",'
    assert json.loads(content)["users"] == 3
