"""The serving artifact of Gowalla: what its export and its lists cost, and whether they are those of `recommend`."""
