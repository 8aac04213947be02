"""What `auto` tried: one record a candidate, and the table that is shown of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from jaxrec.errors import JaxrecError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True)
class Try:
    """What became of one candidate.

    Attributes:
      model: its word, the options of the model and the loss.
      state: "tried", "stopped" by its deadline and measured, "skipped", or "failed".
      why: in words, of all but "tried".
      valid: the figures on the validation part.
      seconds: that it took.
      settings: all of them.

    >>> Try("ials", "skipped", "no model of this name is registered").to_dict()["state"]
    'skipped'
    """

    model: str
    state: Literal["tried", "stopped", "skipped", "failed"]
    why: str = ""
    valid: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in self.valid.items() if "known" not in name)
        told = "; ".join(part for part in (shown, self.why) if part)
        return f"{self.model}: {self.state}, {told} ({self.seconds:.1f} s)"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**dataclasses.asdict(self), "valid": dict(self.valid), "seconds": round(self.seconds, 3)}


def auto_table(model: FittedModel) -> str:
    """What `auto` tried for a model, as text: a row for each candidate and one for the blend.

    Args:
      model: that `auto` gave, or that was restored.

    Raises:
      JaxrecError: another model.

    >>> import jax, jaxrec
    >>> from jaxrec.fitting import Candidate
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> model = jaxrec.auto(split, seconds=60, candidates=[Candidate("itemknn")], key=jax.random.key(0))
    >>> print(auto_table(model).splitlines()[0])
    candidate       state  recall@1  ndcg@1  seconds
    """
    told = model.info.get("auto")
    if told is None:
        raise JaxrecError(f"{model.name} was not chosen by auto, so there is no table; see jaxrec.auto")
    rows = [(row["model"], row["state"], row["valid"], f"{row['seconds']:.1f}", row["why"]) for row in told["table"]]
    blend = told["blend"]
    if blend["tried"]:
        rows.append(("the best single model", "", blend["single"], "", "cross-fitted"))
        how = f"cross-fitted, weights {blend.get('weighed', 'learnt')}; {blend['why']}"
        rows.append((f"blend of {len(blend['members'])}", "tried", blend["valid"], "", how))
    else:
        rows.append(("blend", "skipped", {}, "", blend["why"]))
    figures = list(dict.fromkeys(name for row in rows for name in row[2] if "known" not in name))
    lines = [("candidate", "state", *figures, "seconds", "")]
    for name, state, valid, took, why in rows:
        kept = " (kept)" if name == told["kept"] or (told["kept"] == "blend" and name.startswith("blend of")) else ""
        values = (f"{valid[figure]:.4f}" if figure in valid else "" for figure in figures)
        lines.append((f"{name}{kept}", state, *values, took, why))
    table = aligned_text(lines, right=range(2, 3 + len(figures)))
    return f"{table}\n{told['why']}" if told["why"] else table
