"""One file a model: mf, lightgcn, popularity, random, item-kNN, EASE."""
