"""Requests a second of the explorer, times and memory."""
