"""`python -m experiments.best`."""

from experiments.best.main import main

if __name__ == "__main__":
    raise SystemExit(main())
