"""Biased MF, SVD++ and NMF on the ratings of ML-100K, beside Surprise on the same folds."""
