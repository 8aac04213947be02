"""Slow, obvious figures of groups of items: loops over users, places and items."""

from reference import metrics


def of_item_group(listed, relevant, group, k):
    """Recall, nDCG and hits of one list where only the relevant items of the group count, or None without one."""
    wanted = {item for item in relevant if item in group}
    if not wanted:
        return None
    return {
        "recall": metrics.recall(listed, wanted, k),
        "ndcg": metrics.ndcg(listed, wanted, k),
        "hits": sum(metrics.hits_of(listed[:k], wanted)),
    }


def exposure_share(lists, group, k):
    places = [item for listed in lists for item in listed[:k] if item >= 0]
    return sum(item in group for item in places) / len(places)
