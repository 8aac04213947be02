"""Slow, obvious version of the marks in a table that compares models."""

from reference.uncertainty import holm_refused


def marked(means, p_values, level, reference=None, lower=False):
    """The models of one column that have a dagger.

    means: label to mean. p_values: (metric, a, b) to p of all that was tested, of which the column is metric "x".
    """
    keys = list(p_values)
    refused = dict(zip(keys, holm_refused([p_values[key] for key in keys], level), strict=True))
    out = set()
    for label in means:
        other = reference
        if other is None:
            for one in means:
                if one == label:
                    continue
                if other is None or (means[one] < means[other] if lower else means[one] > means[other]):
                    other = one
        if other != label and (refused.get(("x", label, other)) or refused.get(("x", other, label))):
            out.add(label)
    return out
