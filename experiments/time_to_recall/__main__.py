"""`python -m experiments.time_to_recall`."""

from experiments.time_to_recall.main import main

if __name__ == "__main__":
    raise SystemExit(main())
