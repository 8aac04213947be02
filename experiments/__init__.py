"""One folder per result table: a README with the results and the commands, a config, and a short main program."""

import os

if os.environ.get("NO_COLOR"):  # tyro, which parses their options, has a variable of its own
    os.environ.setdefault("PYTHON_TYRO_ANSI_CODES", "False")
