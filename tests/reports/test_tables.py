"""Tables of models: what is bold, what has a dagger after Holm's correction, both kinds of chance, three forms."""

import dataclasses
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from reference import tables as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.reports import (
    Report,
    average_reports,
    compare_reports,
    comparison_latex,
    comparison_markdown,
    comparison_table,
)
from jaxrec.statistics import Comparison, holm

# Each has a distance of .25 from its mean, so s / sqrt(2) is .25 and half of the interval 1.96 x .25.
KNN = Report(np.arange(2), {"recall@10": np.array([0.5, 1.0])}, {"coverage@10": 0.25})
MF = Report(np.arange(2), {"recall@10": np.array([0.25, 0.75])}, {"coverage@10": 0.5})
POP = Report(np.arange(2), {"recall@10": np.array([0.0, 0.5])}, {"coverage@10": 0.125})
MODELS = {"knn": KNN, "m_f": MF, "pop": POP}
NAMES = ["recall@10", "coverage@10"]
CLAIM = "A claim about methods needs at least 5 seeds of each model that a seed changes."


def rows_of(reports, p_values):
    """Rows as `compare_models` makes them, with these p: (metric, a, b) to p."""
    corrected = holm(list(p_values.values()))
    rows = []
    for ((metric, a, b), p), p_holm in zip(p_values.items(), corrected, strict=True):
        means = [reports[label].mean(metric) for label in (a, b)]
        difference = means[0] - means[1]
        rows.append(Comparison(a, b, metric, *means, difference, 0.0, 0.0, p, float(p_holm), bool(p_holm <= 0.05), 2))
    return rows


# Holm: .01 x 3, .03 x 2, .2: of the two below .05 alone, one is left.
P_VALUES = {("recall@10", "knn", "m_f"): 0.2, ("recall@10", "knn", "pop"): 0.01, ("recall@10", "m_f", "pop"): 0.03}
ROWS = rows_of(MODELS, P_VALUES)
TWO = rows_of({"k|n": KNN, "pop": POP}, {("recall@10", "k|n", "pop"): 0.05})


def test_the_best_is_bold_and_what_differs_from_the_best_other_model_has_a_dagger():
    # knn and m_f are compared with each other (.2), pop with knn (.03). Coverage is of all lists: bold, no dagger.
    assert comparison_table(MODELS, NAMES, comparisons=ROWS).splitlines() == [
        "     recall@10                  coverage@10",
        "knn  **0.7500** [.1802, .9762]  0.2500",
        "m_f  0.5000 ±.4900              **0.5000**",
        "pop  0.2500† [.0238, .8198]     0.1250",
        "±: half of the 95% interval over users, for these trained models.",
        "[]: the 95% interval over users, for these trained models, uneven at the metric's bounds.",
        "**: the best mean of its column; alone it claims no difference.",
        "†: differs from the best other model of its column, p at most 0.05 after Holm's correction over 3 comparisons "
        "(every pair of 3 models in 1 value; paired bootstrap over users). It is about users, for these trained "
        "models.",
        "Of all lists together, not tested over users: coverage@10.",
        f"Trainings: knn 1, m_f 1, pop 1. {CLAIM}",
    ]


def daggers(reports, name, **options):
    lines = comparison_table(reports, [name], **options).splitlines()[1 : len(reports) + 1]
    return {line.split()[0] for line in lines if "†" in line}


def test_a_reference_is_what_the_others_are_compared_with():
    assert daggers(MODELS, "recall@10", comparisons=ROWS, reference="pop") == {"knn"}  # m_f has p .03, after Holm .06
    assert daggers(MODELS, "recall@10", comparisons=ROWS, reference="pop", level=0.93) == {"knn", "m_f"}
    assert daggers(MODELS, "recall@10", comparisons=ROWS, reference="knn", level=0.98) == set()
    assert "†: differs from pop, p at most 0.07 " in comparison_table(
        MODELS, NAMES, comparisons=ROWS, reference="pop", level=0.93
    )


LABELS = ("a", "b", "c", "d")
PAIRS = [(metric, *pair) for metric in ("x", "y") for pair in itertools.combinations(LABELS, 2)]


@hypothesis.given(
    st.permutations([0.125, 0.25, 0.5, 0.75]),
    st.lists(st.integers(0, 60), min_size=12, max_size=12),
    st.sampled_from([None, *LABELS]),
    st.booleans(),
)
def test_daggers_are_those_of_the_slow_twin(means, thousandths, reference, lower):
    # 12 tests, so a p below .0042 is refused first. No product of p and a count is the level itself.
    p_values = dict(zip(PAIRS, [(one + 0.3) / 5000 for one in thousandths], strict=True))
    reports = {
        label: Report(np.arange(2), {"x": np.full(2, mean), "y": np.full(2, mean)})
        for label, mean in zip(LABELS, means, strict=True)
    }
    options = {"comparisons": rows_of(reports, p_values), "reference": reference, "lower": ["x"] if lower else []}
    expected = slow.marked(dict(zip(LABELS, means, strict=True)), p_values, 1 - 0.95, reference, lower)
    assert daggers(reports, "x", **options) == expected


def test_the_best_is_the_lowest_where_lower_is_better():
    reports = {
        label: Report(np.arange(2), {"miscalibration@5": np.full(2, value)}, {"rmse": value, "entropy@5": value})
        for label, value in (("a", 0.25), ("b", 0.5), ("c", 0.25))
    }
    rows = rows_of(reports, {("miscalibration@5", *pair): 1.0 for pair in itertools.combinations(reports, 2)})
    table = comparison_markdown(reports, ["miscalibration@5", "rmse", "entropy@5"], comparisons=rows).splitlines()
    assert table[2:5] == [
        "| a | **0.2500** ±.0000 | **0.2500** | 0.2500 |",
        "| b | 0.5000 ±.0000 | 0.5000 | **0.5000** |",
        "| c | **0.2500** ±.0000 | **0.2500** | 0.2500 |",  # equal values are bold alike
    ]
    assert "- **bold**: the best mean of its column (the lowest of miscalibration@5, rmse); alone it" in "\n".join(
        table
    )
    turned = comparison_markdown(reports, ["entropy@5"], comparisons=rows, lower=["entropy@5"])
    assert "| a | **0.2500** |" in turned


def test_users_and_seeds_stand_side_by_side_and_are_told_apart():
    # Three trainings with the means .25, .5, .75 and coverage .25, .5, .75: both have the standard deviation .25.
    runs = [
        Report(np.arange(2), {"recall@10": np.array([0.0, 0.5]) + shift}, {"coverage@10": 0.25 + shift})
        for shift in (0.0, 0.25, 0.5)
    ]
    table = comparison_table({"mf": average_reports(runs), "pop": POP}, NAMES)
    assert table.splitlines() == [
        "     recall@10              coverage@10",
        "mf   0.5000 ±.4900 (.2500)  0.5000 (.2500)",
        "pop  0.2500 [.0238, .8198]  0.1250",
        "±: half of the 95% interval over users, for these trained models.",
        "[]: the 95% interval over users, for these trained models, uneven at the metric's bounds.",
        "(): standard deviation over seeds, that is between trainings of one model; the mean is theirs.",
        f"Trainings: mf 3, pop 1. {CLAIM}",
    ]
    five = comparison_table({"mf": average_reports([*runs, *runs[:2]])}, NAMES)
    assert five.splitlines()[-1] == "Trainings: mf 5."


def test_latex_marks_and_escapes():
    text = comparison_latex(MODELS, ["recall@10"], comparisons=ROWS, extra={"cost_$ & ~^\\": {"knn": "5%"}})
    assert text.splitlines()[:8] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r" & recall@10 & cost\_\$ \& \textasciitilde{}\textasciicircum{}\textbackslash{} \\",
        r"\midrule",
        r"knn & \textbf{0.7500} [.1802, .9762] & 5\% \\",
        r"m\_f & 0.5000 $\pm$ .4900 &  \\",
        r"pop & 0.2500$^\dagger$ [.0238, .8198] &  \\",
        r"\bottomrule",
    ]
    below = text.splitlines()[8:]
    assert below[:3] == [r"\end{tabular}", "", r"\smallskip{\footnotesize"]
    assert below[3] == r"$\pm$ : half of the 95\% interval over users, for these trained models.\par"
    assert below[4].startswith(r"[]: the 95\% interval over users")
    assert below[5].startswith(r"\textbf{bold}: the best mean")
    assert below[6].startswith(r"$^\dagger$: differs from the best other model")
    assert below[7].startswith(r"Trainings: knn 1, m\_f 1, pop 1.")
    assert below[8:] == ["}"]


def test_markdown_says_below_what_the_signs_mean():
    lines = comparison_markdown({"k|n": KNN, "pop": POP}, ["recall@10"], comparisons=TWO, reference="pop").splitlines()
    assert lines[:5] == [
        "| | recall@10 |",
        "|---|---|",
        r"| k\|n | **0.7500**† [.1802, .9762] |",
        "| pop | 0.2500 [.0238, .8198] |",
        "",
    ]
    assert all(line.startswith("- ") for line in lines[5:])
    assert len(lines[5:]) == 4


def test_rows_of_real_reports_mark_what_they_test(key):
    rng = np.random.default_rng(0)
    low = rng.random(60)
    reports = {
        label: Report(np.arange(60), {"recall@10": values}, {"gini@10": 0.5})
        for label, values in (("low", low), ("same", rng.permutation(low)), ("high", low + 0.1 + 0.1 * rng.random(60)))
    }
    rows = compare_reports(reports, key, names=["recall@10", "gini@10"], resamples=200)
    assert [row.metric for row in rows] == ["recall@10"] * 3
    significant = {frozenset((row.a, row.b)) for row in rows if row.significant}
    assert frozenset(("low", "high")) in significant
    assert frozenset(("low", "same")) not in significant
    marked = daggers(reports, "recall@10", comparisons=rows, reference="low")
    assert marked == {"high"}
    assert daggers(reports, "gini@10", comparisons=rows) == set()


def test_reports_are_compared_user_by_user_in_any_order(key):
    a = Report(np.array([5, 3, 8]), {"x": np.array([0.125, 0.5, 0.75]), "y": np.array([1.0, 0.0, 0.0])})
    b = Report(np.array([8, 5, 3]), {"x": np.array([0.5, 0.0, 0.25]), "y": np.array([0.0, 1.0, 0.0])})
    first, second = compare_reports({"a": a, "b": b}, key, resamples=200)
    # Users 5, 3, 8: .125 - 0, .5 - .25, .75 - .5; in y they are equal user by user, so nothing differs.
    assert (first.metric, first.difference, first.users) == ("x", (0.125 + 0.25 + 0.25) / 3, 3)
    assert first.low >= 0.125
    assert tuple(dataclasses.astuple(second)[5:9]) == (0, 0, 0, 1)


WRONG_HOLM = [dataclasses.replace(ROWS[0], p_holm=0.4), *ROWS[1:]]
OTHER_MEAN = [dataclasses.replace(ROWS[0], mean_a=0.5), *ROWS[1:]]
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"comparisons": ROWS[1:]},
            MismatchError,
            r"has 2 row\(s\), and p_holm is not that of so many \('knn' and 'pop'",
        ),
        ({"comparisons": WRONG_HOLM}, MismatchError, r"'recall@10': 0.400000, not 0.200000\), so they are not all"),
        ({"comparisons": TWO}, MismatchError, r"no row of 'knn' and 'm_f' in 'recall@10'; pass all rows of one call"),
        ({"comparisons": OTHER_MEAN}, MismatchError, r"has 0.500000 as 'recall@10' of 'knn', and its report 0.750000"),
        ({"comparisons": ROWS, "reference": "ease"}, JaxrecError, "reference is 'ease', and the models are knn, m_f"),
        ({"reference": "pop"}, JaxrecError, "reference is 'pop' without comparisons; pass the rows of compare_reports"),
        ({"level": 95}, JaxrecError, "level is 95; pass a probability"),
    ],
)
def test_rows_that_do_not_belong_to_the_table_are_refused(options, error, message):
    for draw in (comparison_table, comparison_markdown, comparison_latex):
        with pytest.raises(error, match=message):
            draw(MODELS, NAMES, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: compare_reports({"knn": KNN}, KEY), JaxrecError, r"reports has 1 model\(s\); pass at least two"),
        (
            lambda: compare_reports(MODELS, KEY, names=["coverage@10"]),
            JaxrecError,
            "names is coverage@10, nothing that",
        ),
        (lambda: compare_reports(MODELS, KEY, names=["ndcg@10"]), JaxrecError, "no per-user value 'ndcg@10'; it has"),
        (
            lambda: compare_reports({"a": KNN, "b": Report(np.array([1, 2]), {"recall@10": np.ones(2)})}, KEY),
            MismatchError,
            r"the reports are on different users \(2 are in one of them only\)",
        ),
    ],
)
def test_reports_that_cannot_be_compared_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_metric_from_outside_says_its_direction_and_trainings_are_counted():
    down = {name: Report(np.arange(2), {"mine@5": np.full(2, value)}, lower=frozenset({"mine@5"}))
            for name, value in (("a", 0.25), ("b", 0.5))}  # fmt: skip
    rows = rows_of(down, {("mine@5", "a", "b"): 1.0})
    table = comparison_markdown(down, ["mine@5"], comparisons=rows, trainings={"a": 5, "b": 7})
    assert "| a | **0.2500**" in table
    assert table.endswith("Trainings: a 5, b 7.")
    assert "| b | **0.5000**" in comparison_markdown(down, ["mine@5"], comparisons=rows, lower=())


def test_a_value_that_nobody_has_is_not_compared(key):
    # Lists of one item have no distance.
    reports = {
        label: Report(np.arange(3), {"ild@1": np.full(3, np.nan), "recall@1": np.array(values)})
        for label, values in (("a", [0.0, 1.0, 1.0]), ("b", [0.0, 0.0, 1.0]))
    }
    rows = compare_reports(reports, key)
    assert [row.metric for row in rows] == ["recall@1"]
    assert compare_reports(reports, key, names=["ild@1", "recall@1"]) == rows
    table = comparison_table(reports, ["ild@1", "recall@1"], comparisons=rows).splitlines()
    assert table[1].split()[1:3] == ["-", "**0.6667**"]
    with pytest.raises(JaxrecError, match="names is ild@1, nothing that users have a value of"):
        compare_reports(reports, key, names=["ild@1"])
