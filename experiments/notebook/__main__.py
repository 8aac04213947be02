"""`python -m experiments.notebook`."""

from experiments.notebook.main import main

if __name__ == "__main__":
    raise SystemExit(main())
