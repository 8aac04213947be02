"""One script for whoever has a GPU or a TPU: numbers checked against the CPU, and steps a second."""
