"""The best of each family of models on the published splits, their blend, and everything together."""
