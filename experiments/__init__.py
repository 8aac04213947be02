"""One folder per result table: a README with the results and the commands, a config, and a short main program."""
