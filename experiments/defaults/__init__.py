"""MF and LightGCN with the defaults of `jaxrec.fit` beside item-kNN and EASE with theirs."""
