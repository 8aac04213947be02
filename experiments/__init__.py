"""One folder a table: a README with the result and the exact command, the configuration, and a short main program."""
