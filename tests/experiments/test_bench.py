"""The benchmarks: their arithmetic, their generator and tables, and that ours and the peers do the same work."""

import dataclasses
import json
import os
import sys

import jax
import numpy as np
import pytest

from experiments.bench import (
    als_free,
    config,
    evaluator,
    factorization,
    machine,
    scaling,
    step,
    step_torch,
    tables,
    timing,
    topk,
)
from experiments.bench.generator import power_law
from experiments.bench.main import main
from experiments.bench.process import STARTED, environment, run_measured
from experiments.bench.timing import Row
from jaxrec.errors import JaxrecError
from jaxrec.scorers import FactorScorer

QUICK = config.smaller(config.Options(quick=True))


def test_the_exponent_is_the_slope_in_logarithms():
    assert timing.exponent([1, 10, 100], [5, 500, 50_000]) == pytest.approx(2)
    # x = -1, 0, 1 and y = 0, 3, 3 in powers of two: the slope is (-1 * -2 + 1 * 1) / 2.
    assert timing.exponent([0.5, 1, 2], [1, 8, 8]) == pytest.approx(1.5)
    assert np.isnan(timing.exponent([1], [1]))


def test_the_spread_is_the_median_with_quartiles_and_extremes():
    assert timing.spread([9.0, 1.0, 2.0, 3.0, 4.0]) == {
        "median": 3.0,
        "min": 1.0,
        "max": 9.0,
        "lower_quartile": 2.0,
        "upper_quartile": 4.0,
    }


def test_turns_alternate_and_the_first_round_does_not_count():
    calls = []
    found = timing.by_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert len(found["a"].wall) == len(found["b"].cpu) == 3


def test_generated_pairs_are_distinct_and_their_degrees_fall_by_the_law():
    users, items, num = 2000, 1000, 40_000
    data = power_law(num, users, items, jax.random.key(1))
    assert len(data) == num
    assert len(np.unique(data.user.astype(np.int64) * items + data.item)) == num
    assert (np.lexsort((data.item, data.user)) == np.arange(num)).all()
    degrees = np.sort(np.bincount(data.item, minlength=items))[::-1]
    weights = (np.arange(1, items + 1) + 10.0) ** -0.8
    expected = num * weights / weights.sum()
    for part in (slice(20, 100), slice(100, 400), slice(400, 1000)):
        # Of 200 draws of the most popular item about 5 are repeats that are drawn again elsewhere.
        assert degrees[part].sum() == pytest.approx(expected[part].sum(), rel=0.06)
    assert np.argsort(np.bincount(data.item))[-50:].min() < items / 2  # popular items are anywhere


def test_the_same_key_generates_the_same_pairs_and_another_key_others():
    first, again, other = (power_law(500, 60, 50, jax.random.key(seed)) for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_the_generator_refuses_what_it_cannot_give():
    with pytest.raises(JaxrecError, match=r"num must lie in 1\.\.50, half of all pairs, got 51"):
        power_law(51, 10, 10, jax.random.key(0))
    with pytest.raises(JaxrecError, match="smaller exponents"):
        power_law(5000, 100, 100, jax.random.key(0), item_exponent=40.0)


def test_a_row_becomes_a_line_of_its_table_and_an_entry_of_the_document():
    rows = [
        Row("step", "d 8", "ours", "s", (3.0, 1.0, 2.0), (4.0,), 0.5, "fine"),
        timing.missing("step", "d 8", "theirs", "s", "torch"),
    ]
    lines = tables.markdown(rows).splitlines()
    assert lines[0] == "### step"
    assert lines[4] == "| d 8 | ours | s | 2 | 1 to 3 | 1.5 to 2.5 | 3 | 4 | 0.5 | fine |"
    assert "not installed" in lines[5]
    assert {line.count("|") for line in lines[2:6]} == {11}
    assert tables.plain(rows[0])["median"] == 2.0
    assert "median" not in tables.plain(rows[1])


def test_the_environment_sets_threads_and_large_pages_once():
    made = environment({"GLIBC_TUNABLES": "a=b", "PATH": "/bin"}, 2, large_pages=True)
    assert made["GLIBC_TUNABLES"] == "a=b:glibc.malloc.hugetlb=1"
    assert made["OMP_NUM_THREADS"] == made["MKL_NUM_THREADS"] == made["OPENBLAS_NUM_THREADS"] == "2"
    assert made["PATH"] == "/bin"
    assert made[STARTED] == "1"
    assert environment(made, 2, large_pages=True) == made
    assert "GLIBC_TUNABLES" not in environment({}, 2, large_pages=False)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="only Unix tells the peak memory of a child")
def test_the_peak_is_that_of_the_command_and_not_of_this_process():
    """This process holds 300 MB while it starts a command that takes 100 MB."""
    own = np.ones(300 * 2**17)
    told, peak, seconds = run_measured([sys.executable, "-S", "-c", "b = b'x' * (100 * 2**20); print('told')"])
    assert told.strip() == "told"
    assert 100 * 2**20 < peak < 200 * 2**20
    assert seconds > 0
    assert own[-1] == 1
    with pytest.raises(JaxrecError, match="ended with code 3"):
        run_measured([sys.executable, "-S", "-c", "raise SystemExit(3)"])


def test_the_machine_is_described():
    found = machine.describe()
    assert found["versions"]["jax"] == jax.__version__
    assert machine.cache_bytes("2048K") == 2 * 2**20
    assert "jax" in machine.sentence(found)


def test_exponents_are_fitted_on_each_side_of_the_cache():
    found = [
        {"interactions": 10**power, "wall": [10.0**power] * 3, "table_bytes": 10**power} for power in range(2, 4)
    ] + [{"interactions": 10**power, "wall": [10.0 ** (2 * power)], "table_bytes": 10**power} for power in range(4, 6)]
    rows = {row.name: row.values[0] for row in scaling.exponent_rows(found, {"L1": 500, "L2": 5000})}
    within, over = (value for name, value in rows.items() if name.startswith("table"))
    assert within == pytest.approx(1)
    assert over == pytest.approx(2)
    assert rows["1e+03 to 1e+04"] == pytest.approx(5)
    # x = -1.5, -.5, .5, 1.5 and y = 2, 3, 8, 10: (1.5 * 8 + .5 * 5) / 5
    assert rows["all sizes"] == pytest.approx(2.9)


def test_seconds_to_a_recall_lie_on_the_line_between_points():
    curve = als_free.Curve((2.0, 4.0, 8.0), (0.1, 0.3, 0.2), 0.0)
    assert als_free.seconds_to(curve, 0.05) == 2.0
    assert als_free.seconds_to(curve, 0.25) == pytest.approx(3.5)
    assert als_free.seconds_to(curve, 0.31) == float("inf")


def test_agreement_measures_the_scores_where_lists_differ():
    scorer = FactorScorer(np.array([[1.0], [2.0]], np.float32), np.array([[3.0], [3.0], [1.0]], np.float32), dim=1)
    tied = topk.agreement(np.array([[0, 1], [0, 1]]), np.array([[1, 0], [0, 1]]), scorer)
    assert tied == {"same_places": 0.5, "apart": 0.0}
    # The first scores are 3 and 6, so their standard deviation is 1.5; the second user's places are 6 and 2.
    wrong = topk.agreement(np.array([[0, 1], [0, 1]]), np.array([[0, 1], [0, 2]]), scorer)
    assert wrong == {"same_places": 0.75, "apart": pytest.approx(4 / 1.5)}


def test_the_error_of_all_entries_needs_no_product():
    rng = np.random.default_rng(0)
    x, w, h = (rng.integers(0, 3, shape).astype(np.float64) for shape in ((5, 4), (5, 2), (2, 4)))
    import scipy.sparse

    assert factorization.squared_error(scipy.sparse.csr_matrix(x), w, h) == pytest.approx(np.sum((x - w @ h) ** 2))


def test_nmf_of_both_reaches_the_same_error():
    pytest.importorskip("sklearn")
    ours, theirs = factorization.all_entries(QUICK)
    assert (ours.name, theirs.name) == ("jaxrec", "scikit-learn")
    assert ours.extra["squared_error"] == pytest.approx(theirs.extra["squared_error"], rel=1e-5)


def test_without_peers_there_are_rows_that_say_so(tmp_path, monkeypatch, capsys):
    for module in (step, topk):
        monkeypatch.setattr(module, "find", lambda name: None)
    out = tmp_path / "bench.json"
    assert main(["--quick", "--only", "step", "topk", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not installed") == 5
    document = json.loads(out.read_text())
    assert set(document) == {"machine", "options", "rows"}
    rows = {(row["benchmark"], row["name"]): row for row in document["rows"]}
    ours = {("step", f"jaxrec, {name}") for name in ("epoch", "epoch, clusters", "steps")} | {("topk", "jaxrec")}
    assert len(rows) == len(ours) + 5
    for name in ours:
        row = rows[name]
        assert len(row["values"]) == len(row["cpu"]) == QUICK.repeats
        assert 0 < row["min"] <= row["median"] <= row["max"]
    assert rows["step", "jaxrec, epoch"]["compile_seconds"] > 0
    assert "steps in one program" in rows["step", "jaxrec, epoch"]["note"]
    assert not rows["step", "PyTorch, COO"]["values"]


@pytest.mark.slow
def test_a_part_of_an_epoch_has_as_many_steps_as_asked_for(monkeypatch):
    monkeypatch.setattr(step, "find", lambda name: None)
    row = next(row for row in step.run(dataclasses.replace(QUICK, epoch_steps=2)) if "part of an epoch" in row.name)
    assert row.extra["steps_in_block"] == 2
    assert "2 steps in one program" in row.note


@pytest.mark.slow
def test_the_rows_of_the_evaluator_stand_beside_the_top_k_alone():
    rows = evaluator.run(QUICK)
    assert [row.name for row in rows] == [
        "top-k alone",
        "all of the lists, with distance",
        "R-precision too",
        "AUC too",
        "re-ranking 100 to 20 by MMR",
        "re-ranking 100 to 20 by DPP",
        "memory_mb 64",
    ]
    alone = np.median(rows[0].values)
    for row in rows[:6]:
        assert row.extra["ratio"] == pytest.approx(np.median(row.values) / alone)
    assert 0.05 < rows[-1].values[0] < 4  # GB


@pytest.mark.parametrize("peer", step_torch.CONTENDERS)
def test_a_step_of_pytorch_loses_what_ours_loses(peer):
    """The losses of three steps from one start: the later ones are right only if gradients and Adam are too."""
    pytest.importorskip("torch")
    contender = step_torch.CONTENDERS[peer]
    if contender.package:
        pytest.importorskip(contender.package)
    train = power_law(2000, 150, 100, jax.random.key(0))
    given = step.problem(train, 8, 64, 3, seed=0)
    expected = step.losses_of_ours(given, l2=0.1)
    taken = contender.make(step.numpy_problem(given), step.LAYERS, step.RATE, 0.1)
    np.testing.assert_allclose([taken(at) for at in range(3)], expected, rtol=1e-4)
    assert abs(expected[0] - expected[2]) > 1e-3


def test_lists_of_implicit_are_ours():
    implicit = pytest.importorskip("implicit")
    rows = {row.name: row for row in topk.run(QUICK)}
    assert implicit is not None
    for name in topk.IMPLICIT:
        assert rows[name].extra["same_places"] > 0.99
        assert rows[name].extra["apart"] < 1e-5


@pytest.mark.slow
def test_rows_and_seeds_are_measured(tmp_path):
    out = tmp_path / "bench.json"
    assert main(["--quick", "--only", "rows", "seeds", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert {row["benchmark"] for row in rows} == {"rows", "seeds"}
    assert all(row["median"] > 0 for row in rows)
    seeds = [row for row in rows if row["benchmark"] == "seeds"]
    assert len(seeds) == 3
    assert all(row["extra"]["apart"] < 1e-5 for row in seeds)  # each way trains the same members
