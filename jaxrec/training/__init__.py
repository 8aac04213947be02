"""Train state and steps, the epoch as one scan, and fit."""
