"""The module names of 0.1, which lead to the new ones with a DeprecationWarning until 0.3."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any

# (old room, new room): files; old:new where the file has another name too.
_FILES = {
    ("data", "data"): "interactions ids seen filters",
    ("data", "data.datasets"): "registry:catalog download planetoid pickles",
    (
        "data",
        "data.reading",
    ): "readers detection:formats columns text_formats text_parsing item_files frames conversions",
    ("data", "data.splitting"): "splits:old_functions holdout parts",
    ("evaluation", "ranking"): "topk block_topk candidates:candidate_rule rerank:reranking item_space:item_vectors",
    ("evaluation", "reports"): "report tables several_runs:averages labels:groups",
    ("evaluation", "statistics"): "comparison uncertainty:tests resampling intervals seeds",
    ("evaluation", "evaluation"): "full_ranking:auc_of_users groups:item_groups evaluator measure ratings sampled"
    " tradeoff",
    ("api", "fitting"): "fit many:fit plan options fitted storage",
    ("api", "api"): "evaluate rankings ranking_inputs sampled recommend lookup candidates",
    ("metrics", "metrics"): "ranking rating diversity novelty exposure categories full_ranking:auc",
    ("models", "models"): "baselines ease gcn itemknn lightgcn mf nmf sizes svdpp userknn",
    ("training", "training"): "epoch loop objective row_rules rows state",
    ("sparse", "sparse"): "matrices products row_products",
    ("spectral", "spectral"): "chebyshev decompositions filters fourier krylov laplacians",
    ("factorization", "factorization"): "all_entries common stored_entries",
    (
        "cli",
        "cli",
    ): "compare datasets doctor evaluate fit labels memory output parsing predict recommend run_folder score"
    " similar source",
}
OLD = {
    f"jaxrec.{old}.{name.partition(':')[0]}": f"jaxrec.{new}._{name.rpartition(':')[2]}"
    for (old, new), names in _FILES.items()
    for name in names.split()
} | {"jaxrec.models.scorers": "jaxrec.scorers"}


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module of 0.1 where no file has its name."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> Any:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in OLD else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        file = importlib.import_module(OLD[spec.name])
        room = importlib.import_module(file.__name__.rpartition(".")[0])
        warnings.warn(
            f"{spec.name} is a name of 0.1 and goes in 0.3; use {room.__name__}", DeprecationWarning, stacklevel=2
        )
        before = importlib.import_module(spec.name.rpartition(".")[0])
        module = types.ModuleType(spec.name, file.__doc__)

        def get(name: str) -> Any:
            for place in (file, room, before):  # a name may have moved on, to another file or room
                if name == "__all__" or hasattr(place, name):
                    return getattr(place, name)
            raise AttributeError(f"module {spec.name!r} of 0.1 had no public name {name!r}, or it is gone in 0.2")

        vars(module)["__getattr__"] = get
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is left to run: names are looked up when they are asked for."""


def find_old_modules() -> None:
    """Let `import` find the module names of 0.1, once."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())


def old_name(module: str, name: str, rooms: Sequence[str]) -> Any:
    """What `module.name` was in 0.1 and is elsewhere now; for `__getattr__` of a room.

    Raises:
      AttributeError: none of the rooms has it.
    """
    for room in rooms:
        found = importlib.import_module(room)
        if name in found.__all__:
            warnings.warn(
                f"{module}.{name} is a name of 0.1 and goes in 0.3; use {room}.{name}", DeprecationWarning, stacklevel=3
            )
            return getattr(found, name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
