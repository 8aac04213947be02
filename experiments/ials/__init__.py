"""Implicit ALS on the official splits, by width."""
