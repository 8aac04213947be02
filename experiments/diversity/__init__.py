"""Accuracy against Euclidean diversity: popularity, MF and LightGCN of 1 to 4 layers, with and without re-ranking."""
