"""Hostile input: targets, a mutation of bytes, a runner, and the finds that are replayed."""
