"""Benchmarks of jaxrec beside other libraries: steps, rankings, whole trainings, scaling and memory."""
