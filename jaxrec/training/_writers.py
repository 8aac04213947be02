"""Callbacks that write every epoch to a tracker: TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

import importlib
import pathlib
import re
from typing import Any, ClassVar

from jaxrec.errors import JaxrecError
from jaxrec.protocols import Callback, EpochEvent, StageInfo
from jaxrec.training._callbacks import scalars_of


class TensorBoard(Callback):
    """Write every epoch to event files of TensorBoard: a run for each stage, and for each member of several.

    Settings go into a text, figures into scalars with the epoch as the step. A tag has no @, so ndcg@10 is
    valid/ndcg_10.

    Args:
      folder: of the runs; it is made where it is missing.

    Raises:
      JaxrecError: tensorboardX is not installed.

    >>> import jax, jaxrec, tempfile
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = TensorBoard(folder)
    ...     model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=2, callbacks=[writer], key=jax.random.key(0))
    ...     [path.name for path in pathlib.Path(folder).iterdir()]
    ['fit']
    """

    only_writes: ClassVar[bool] = True

    def __init__(self, folder: str | pathlib.Path = "runs/tensorboard") -> None:
        self.folder = pathlib.Path(folder)
        self._module = _installed("tensorboardX", "tensorboard")
        self._writers: list[Any] = []

    def start(self, stage: StageInfo) -> None:
        """Open an event file for each member."""
        names = [stage.name] if stage.members == 1 else [f"{stage.name}-{at}" for at in range(stage.members)]
        self._writers = [self._module.SummaryWriter(str(self.folder / name)) for name in names]
        rows = [f"|{name}|{value}|" for name, value in _settings(stage).items()]
        for writer in self._writers:
            writer.add_text("settings", "\n".join(["|option|value|", "|---|---|", *rows]), 0)

    def __call__(self, event: EpochEvent) -> None:
        """Write the figures of the member."""
        for name, value in _allowed(scalars_of(event)).items():
            self._writers[event.member].add_scalar(name, value, event.record.epoch)

    def finish(self) -> None:
        """Close the event files."""
        for writer in self._writers:
            writer.close()


class MLflow(Callback):
    """Write every epoch to MLflow: a run for each stage, inside the active run where there is one.

    Settings are parameters, figures metrics with the epoch as the step. MLflow allows no @ in a name, so ndcg@10 is
    ndcg_10; of several members the names start with member0/ and so on. Where the tracking server is, and which
    experiment, is set as ever by `mlflow.set_tracking_uri` and `mlflow.set_experiment`.

    Args:
      name: of the runs; by default the model and the stage.

    Raises:
      JaxrecError: MLflow is not installed.

    >>> import jaxrec
    >>> jaxrec.fit(jaxrec.MF(), split, callbacks=[MLflow(name="first")], key=key)  # doctest: +SKIP
    """

    only_writes: ClassVar[bool] = True

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._module = _installed("mlflow", "mlflow")
        self._several = False

    def start(self, stage: StageInfo) -> None:
        """Start a run with the settings as its parameters."""
        self._several = stage.members > 1
        nested = self._module.active_run() is not None
        self._module.start_run(run_name=self.name or f"{stage.model} {stage.name}", nested=nested)
        self._module.log_params(_settings(stage))

    def __call__(self, event: EpochEvent) -> None:
        """Write the figures of the member."""
        figures = _prefixed(event, "member{}/" if self._several else "")
        self._module.log_metrics(_allowed(figures), step=event.record.epoch)

    def finish(self) -> None:
        """End the run."""
        self._module.end_run()


class WandB(Callback):
    """Write every epoch to Weights & Biases: a run for each stage, in one group.

    Settings are the configuration, figures are logged with the epoch as the step; of several members the names start
    with member0/ and so on.

    Args:
      project: of the runs; by default what Weights & Biases takes.
      group: of the runs; by default the model.

    Raises:
      JaxrecError: wandb is not installed.

    >>> import jaxrec
    >>> jaxrec.fit(jaxrec.MF(), split, callbacks=[WandB(project="films")], key=key)  # doctest: +SKIP
    """

    only_writes: ClassVar[bool] = True

    def __init__(self, project: str | None = None, group: str | None = None) -> None:
        self.project, self.group = project, group
        self._module = _installed("wandb", "wandb")
        self._run: Any = None
        self._several = False

    def start(self, stage: StageInfo) -> None:
        """Start a run with the settings as its configuration."""
        self._several = stage.members > 1
        self._run = self._module.init(
            project=self.project, group=self.group or stage.model, name=stage.name, config=_settings(stage)
        )

    def __call__(self, event: EpochEvent) -> None:
        """Write the figures of the member."""
        self._run.log(_prefixed(event, "member{}/" if self._several else ""), step=event.record.epoch)

    def finish(self) -> None:
        """End the run."""
        self._run.finish()


def _settings(stage: StageInfo) -> dict[str, Any]:
    """The settings of a stage in one level, such as model.dim."""
    groups = {"stage": {"name": stage.name, "model": stage.model, "members": stage.members}, **stage.settings}
    return {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}


def _prefixed(event: EpochEvent, prefix: str) -> dict[str, float]:
    return {prefix.format(event.member) + name: value for name, value in scalars_of(event).items()}


def _allowed(figures: dict[str, float]) -> dict[str, float]:
    return {re.sub(r"[^\w\-./]", "_", name): value for name, value in figures.items()}


def _installed(package: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise JaxrecError(f'{package} is not installed; install it by: pip install "jaxrec[{extra}]"') from None
