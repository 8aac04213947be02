"""`python -m experiments.serving`."""

from experiments.serving.main import main

if __name__ == "__main__":
    raise SystemExit(main())
