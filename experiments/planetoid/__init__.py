"""Two-layer graph convolution on Cora and Citeseer: the public split, many seeds in one program."""
