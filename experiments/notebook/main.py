"""Reproduce everything in the notebook, compare it with the printed values, and fail if one differs."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tyro

import jaxrec
from experiments.notebook import exact, trained
from experiments.notebook.checks import Check, markdown
from experiments.notebook.graphs import draw_figures, draw_graphs
from jaxrec.plots import learning_curve, save_figure


@dataclasses.dataclass(frozen=True)
class Options:
    """Reproduce the notebook.

    Attributes:
      out: the folder for the README and the figures.
      train: also train the models, which takes minutes; without it only the printed values are checked.
    """

    out: pathlib.Path = pathlib.Path("runs/notebook")
    train: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Write the folder; return 1 if a printed value differs."""
    options = tyro.cli(Options, args=argv, description="Regenerate the notebook.")
    started = time.perf_counter()
    options.out.mkdir(parents=True, exist_ok=True)
    first, second = draw_graphs()
    figures = draw_figures(first, second, options.out)
    checks = [
        *exact.graph_checks(first, second),
        *exact.matrix_checks(first),
        *exact.spectral_checks(first),
        *exact.nll_checks(),
        *exact.nmf_checks(first),
    ]
    different = [check for check in checks if not check.same]
    parts = [
        "# The notebook, side by side\n",
        f"{len(checks)} printed things were compared, {len(different)} differ.\n",
        *(f"![{name}]({name})\n" for name in figures),
        markdown(checks),
    ]
    if options.train:
        parts += trainings(options.out)
    (options.out / "README.md").write_text("\n".join(parts), encoding="utf-8")
    print(f"{len(checks)} printed things compared, {len(different)} differ; {options.out / 'README.md'}")
    print(f"{time.perf_counter() - started:.0f} s")
    for check in different:
        print(f"different: {check.section}, {check.name}")
    return 1 if different else 0


def trainings(out: pathlib.Path) -> list[str]:
    """Write the sections of the trained models."""
    ratings = jaxrec.load("ml-100k", raw=True)
    split = jaxrec.split(jaxrec.load("ml-100k"), "user_temporal", test=0.2, valid=0.1)
    parts = ["## 4. MF on ML-100K, width 128, MSE, SGD 1e-2, one rating a step\n"]
    for scale in (1.0, 0.1):
        records, why = trained.train_mf(ratings, scale)
        parts.append(f"Start N(0, {scale:g}), ended by: {why}\n")
        if records:
            parts.append(", ".join(f"{record['ranking']:.3f}" for record in records) + " (mean loss of each epoch)\n")
            parts.append(_curve(records, out / "mf.png", "MF, N(0, 0.1)"))
    records = trained.train_lightgcn(split)
    parts += ["## 5. LightGCN, width 128, BPR and the norms of the ego embeddings\n"]
    parts.append(_curve(records, out / "lightgcn.png", "LightGCN"))
    parts += ["## 7. SVD++ on the 4 x 4 ratings\n", "```", *trained.train_svdpp(), "```\n"]
    parts += [
        "## 9. Ranking and diversity on ML-100K\n",
        "Ratings of 4 and more, 5-core, each user's last fifth as test. The first eight models see pairs, the last "
        "three see ratings only and rank by the predicted rating.\n",
        trained.compare(split),
        "",
    ]
    return parts


def _curve(records: Sequence[Mapping[str, Any]], path: pathlib.Path, title: str) -> str:
    save_figure(learning_curve(records, title=title), path)
    return f"![{title}]({path.name})\n"


__all__ = ["Check", "Options", "main"]
