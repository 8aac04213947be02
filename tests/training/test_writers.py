"""The writers of trackers: what reaches TensorBoard's files, and what MLflow and Weights & Biases are told."""

import re
import struct
import sys
import types

import jax
import pytest

import jaxrec
from jaxrec import Validation, registry
from jaxrec.errors import JaxrecError
from jaxrec.plots import LearningCurve
from jaxrec.training import MLflow, TensorBoard, WandB

DATA = jaxrec.from_arrays([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], [0, 1, 2, 3, 1, 2, 3, 4, 0, 2, 3, 4])
SPLIT = jaxrec.split(DATA, "user_random", test=0.25, valid=0.25, key=jax.random.key(0))
HOW = {"epochs": 2, "validation": Validation(every=1, metrics="recall", monitor="recall@2", k=2), "batch_size": 4}


def fit(callback, **rest):
    return jaxrec.fit(jaxrec.MF(dim=2), SPLIT, callbacks=[callback], key=jax.random.key(0), **{**HOW, **rest})


def fit_two(callback, **rest):
    keys = jax.random.split(jax.random.key(0), 2)
    return jaxrec.fit_many(jaxrec.MF(dim=2), SPLIT, callbacks=[callback], keys=keys, **{**HOW, **rest})


def events(folder):
    """(tag, step, value) of the scalars of the event files of a folder, and the texts by tag."""
    from tensorboardX.proto.event_pb2 import Event

    scalars, texts = [], {}
    for path in folder.glob("events*"):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += length + 16
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    scalars.append((value.tag, event.step, value.simple_value))
                else:
                    texts[value.tag] = value.tensor.string_val[0].decode()
    return scalars, texts


def test_tensorboard_has_a_run_for_each_stage_with_the_figures_of_every_epoch(tmp_path):
    pytest.importorskip("tensorboardX")
    model = fit(TensorBoard(tmp_path / "runs"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["fit", "refit"]
    for stage in ("fit", "refit"):
        scalars, texts = events(tmp_path / "runs" / stage)
        records = [record for record in model.info["records"] if record["stage"] == stage]
        for record in records:
            found = {tag: value for tag, step, value in scalars if step == record["epoch"]}
            assert found["train/loss"] == pytest.approx(record["loss"])
            if stage == "fit":
                assert found["valid/recall_2"] == pytest.approx(record["valid"]["recall@2"])
        assert {step for _, step, _ in scalars} == {record["epoch"] for record in records}
        (settings,) = texts.values()
        assert "|model.dim|2|" in settings
        assert "|training.loss|InBatchSoftmax|" in settings


def test_tensorboard_has_a_run_for_each_member(tmp_path):
    pytest.importorskip("tensorboardX")
    models = fit_two(TensorBoard(tmp_path), refit=False)
    for at, model in enumerate(models):
        scalars, _ = events(tmp_path / f"fit-{at}")
        losses = [value for tag, _, value in scalars if tag == "train/loss"]
        assert losses == pytest.approx([record["loss"] for record in model.info["records"]])


class FakeMLflow(types.ModuleType):
    """The functions of `mlflow` that are used, with the arguments and rules that it documents."""

    def __init__(self, outer=None):
        super().__init__("mlflow")
        self.active, self.runs = [outer] if outer else [], []

    def active_run(self):
        return self.active[-1] if self.active else None

    def start_run(self, run_id=None, experiment_id=None, run_name=None, nested=False):
        assert nested == bool(self.active), "a run inside a run must be nested"
        self.runs.append({"name": run_name, "params": {}, "metrics": []})
        self.active.append(self.runs[-1])

    def log_params(self, params):
        assert all(re.fullmatch(r"[/\w.\- ]*", name) and len(str(value)) <= 6000 for name, value in params.items())
        assert len(params) <= 100
        self.active[-1]["params"] |= params

    def log_metrics(self, metrics, step=None):
        assert all(
            re.fullmatch(r"[/\w.\- ]*", name) and isinstance(value, int | float) for name, value in metrics.items()
        )
        self.active[-1]["metrics"].append((step, metrics))

    def end_run(self, status="FINISHED"):
        self.active.pop()


def test_mlflow_is_told_settings_and_figures_by_names_that_it_allows(monkeypatch):
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    model = fit(MLflow())
    assert [run["name"] for run in fake.runs] == ["MF fit", "MF refit"]
    assert fake.active == []
    first = fake.runs[0]
    assert first["params"]["model.dim"] == 2
    assert first["params"]["training.optimizer.learning_rate"] == 5e-3
    assert [step for step, _ in first["metrics"]] == [1, 2]
    record = model.info["records"][0]
    assert first["metrics"][0][1]["train/loss"] == record["loss"]
    assert first["metrics"][0][1]["valid/recall_2"] == record["valid"]["recall@2"]


def test_mlflow_runs_are_nested_in_an_active_one_and_members_have_prefixes(monkeypatch):
    fake = FakeMLflow(outer="the caller's")
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    models = fit_two(MLflow("two"), refit=False)
    assert fake.active == ["the caller's"]
    (run,) = fake.runs
    assert run["name"] == "two"
    for at, model in enumerate(models):
        losses = [
            figures[f"member{at}/train/loss"] for _, figures in run["metrics"] if f"member{at}/train/loss" in figures
        ]
        assert losses == [record["loss"] for record in model.info["records"]]


class FakeWandB(types.ModuleType):
    """`wandb.init` and the run that it gives, with the arguments that they document."""

    def __init__(self):
        super().__init__("wandb")
        self.runs = []

    def init(
        self, entity=None, project=None, dir=None, id=None, name=None, notes=None, tags=None, config=None, group=None
    ):
        run = types.SimpleNamespace(project=project, name=name, group=group, config=config, logged=[], open=True)

        def log(data, step=None, commit=None):
            assert run.open
            assert not run.logged or step >= run.logged[-1][0], "steps may not go back"
            run.logged.append((step, data))

        run.log, run.finish = log, lambda exit_code=None, quiet=None: setattr(run, "open", False)
        self.runs.append(run)
        return run


def test_wandb_is_told_settings_and_figures_and_runs_are_finished(monkeypatch):
    fake = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    model = fit(WandB(project="films"))
    assert [(run.project, run.group, run.name, run.open) for run in fake.runs] == [
        ("films", "MF", "fit", False),
        ("films", "MF", "refit", False),
    ]
    assert fake.runs[0].config["model.dim"] == 2
    step, figures = fake.runs[0].logged[0]
    assert (step, figures["valid/recall@2"]) == (1, model.info["records"][0]["valid"]["recall@2"])
    fit_two(WandB(), refit=False)
    assert {name.split("/")[0] for _, figures in fake.runs[-1].logged for name in figures} == {"member0", "member1"}


def test_a_run_is_ended_after_an_error_too(monkeypatch):
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)

    def fail(event):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        jaxrec.fit(jaxrec.MF(dim=2), SPLIT, callbacks=[MLflow(), fail], key=jax.random.key(0), **HOW)
    assert fake.active == []


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("tensorboard", "tensorboardX", "tensorboard"), ("mlflow", "mlflow", "mlflow"), ("wandb", "wandb", "wandb")],
)
def test_a_package_that_is_missing_is_named_with_what_to_install(monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(JaxrecError, match=rf'{package} is not installed; .* pip install "jaxrec\[{extra}\]"'):
        registry.make("callback", name)


def test_every_callback_has_a_name_and_is_made_without_arguments(monkeypatch, tmp_path):
    pytest.importorskip("tensorboardX")
    monkeypatch.setitem(sys.modules, "mlflow", FakeMLflow())
    monkeypatch.setitem(sys.modules, "wandb", FakeWandB())
    monkeypatch.chdir(tmp_path)
    for name in registry.names("callback", installed=False):
        assert registry.name_of("callback", registry.make("callback", name)) == name
    fit("json_lines")
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) >= 3


def test_the_learning_curve_is_drawn_after_the_last_stage_and_for_each_member(tmp_path, monkeypatch):
    drawn = []
    from jaxrec.plots import _training

    whole = _training.learning_curve
    monkeypatch.setattr(
        _training, "learning_curve", lambda records, **how: drawn.append(records) or whole(records, **how)
    )
    curve = LearningCurve(tmp_path / "curve.png")
    model = fit(curve)
    assert drawn[-1] == model.info["records"]
    assert (tmp_path / "curve.png").stat().st_size > 1000
    again = fit(curve, refit=False)  # another fit begins anew
    assert drawn[-1] == again.info["records"]
    fit_two(curve, refit=False)
    assert {path.name for path in tmp_path.iterdir()} == {"curve.png", "curve-0.png", "curve-1.png"}
    for path in ("curve.txt", "nowhere/curve.png"):
        with pytest.raises(JaxrecError, match=r"path must end in \.png, \.svg, \.pdf, in a folder that exists"):
            LearningCurve(tmp_path / path)
