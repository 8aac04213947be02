"""`python -m experiments.defaults`."""

from experiments.defaults.main import main

if __name__ == "__main__":
    raise SystemExit(main())
