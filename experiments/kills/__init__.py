"""Runs that are killed at random moments and resumed, beside one that was never stopped."""
