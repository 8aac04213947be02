"""Benchmarks of jaxrec beside its peers: steps, rankings, whole trainings, scaling and memory."""
