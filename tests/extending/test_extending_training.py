"""A loss, a regularizer and a sampler from outside: the suites, fit, evaluate, the command line, saving, restoring."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import jaxrec
from examples.extending.loss import Hinge
from examples.extending.negatives import PopularityPower
from examples.extending.regularizer import UnitNorm
from jaxrec.errors import RunFolderError
from jaxrec.losses import BPR, SquaredL2, masked_mean
from jaxrec.protocols import Loss
from jaxrec.pytrees import options
from jaxrec.sampling import Uniform
from jaxrec.testing import LossConformance, NegativesConformance, RegularizerConformance


class TestHinge(LossConformance):
    loss = Hinge(margin=3.0)


class TestUnitNorm(RegularizerConformance):
    regularizer = UnitNorm(0.01)


class TestPopularityPower(NegativesConformance):
    negatives = PopularityPower(num=2)


PARTS = {
    "loss": (Hinge(0.5), ("--margin", "0.5"), BPR()),
    "regularizer": (UnitNorm(0.05), ("--weight", "0.05"), SquaredL2()),
    "negatives": (PopularityPower(0.5, num=2), ("--exponent", "0.5", "--num", "2"), Uniform(1)),
}
FIT = ("--model", "mf", "--dim", "4", "--epochs", "2", "--batch-size", "32", "-k", "3", "--no-distances")


def place(thing):
    return f"{type(thing).__module__}:{type(thing).__name__}"


@pytest.mark.parametrize("kind", PARTS)
def test_it_takes_part_in_fit_evaluate_and_storage(kind, split, tmp_path):
    thing, _, usual = PARTS[kind]
    shared = jaxrec.TrainingOptions(loss=BPR(), epochs=2, batch_size=32)
    given = {kind: thing}
    fitted = jaxrec.fit(jaxrec.MF(dim=4), split, shared, key=jax.random.key(0), **given)
    other = jaxrec.fit(jaxrec.MF(dim=4), split, shared, key=jax.random.key(0), **{kind: usual})
    assert fitted.info["records"][-1]["loss"] != other.info["records"][-1]["loss"]
    assert getattr(fitted.options, kind) == thing
    report = jaxrec.evaluate(fitted, split, k=3, space=None)
    folder = jaxrec.save(fitted, tmp_path / "run")
    with pytest.raises(RunFolderError, match=rf"object of {place(thing)}.*kinds=\[{type(thing).__name__}"):
        jaxrec.restore(folder)
    restored = jaxrec.restore(folder, kinds=[type(thing)])
    assert restored.options == fitted.options
    assert jaxrec.evaluate(restored, split, k=3, space=None).to_dict()["mean"] == report.to_dict()["mean"]


@pytest.mark.parametrize("kind", PARTS)
def test_the_command_line_takes_it_with_its_own_flags(kind, ratings, cli, tmp_path):
    thing, flags, _ = PARTS[kind]
    run = tmp_path / "run"
    drawn = ("--loss", "bpr") if kind == "negatives" else ()
    document = cli("fit", ratings, *FIT, "--out", run, *drawn, f"--{kind}", place(thing), *flags).json
    assert getattr(jaxrec.restore(run, kinds=[type(thing)]).options, kind) == thing
    again = cli("evaluate", run, "-k", "3", "--no-distances", "--kind", place(thing)).json
    assert again["mean"] == document["test"]
    lists = cli("recommend", run, "--user", "0", "-k", "2", "--kind", place(thing)).json
    assert len(lists["lists"][0]["items"]) == 2
    assert f"--kind {place(thing)}" in cli("recommend", run, "--user", "0").error


def test_a_flag_of_another_choice_is_refused(ratings, cli, tmp_path):
    assert "--margin" in cli("fit", ratings, *FIT, "--out", tmp_path / "run", "--margin", "0.5").error


def test_flags_have_the_names_of_the_fields():
    for thing, flags, _ in PARTS.values():
        names = [flag.removeprefix("--") for flag in flags[::2]]
        assert set(names) <= {field.name for field in dataclasses.fields(thing)}


@options
class AbsoluteError(Loss):
    """The absolute error of predicted ratings: a loss of ratings that states no scale."""

    task = "rating"

    def __call__(self, rows, batch, data, key):
        error = jnp.sum(rows.user * rows.positive, axis=1) - batch.rating
        return masked_mean(jnp.abs(error), where=batch.where)

    def default_negatives(self):
        return None


class TestAbsoluteError(LossConformance):
    loss = AbsoluteError()
