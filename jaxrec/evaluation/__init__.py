"""Top-k over the whole catalogue, the evaluator, and the common item space."""
