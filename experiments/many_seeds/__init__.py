"""Several seeds of one model: one after another, each compiled, against all in one program."""
