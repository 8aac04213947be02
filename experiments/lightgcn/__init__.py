"""LightGCN trained with BPR, with one to four layers, on the official splits."""
