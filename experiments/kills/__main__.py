"""`python -m experiments.kills`."""

from experiments.kills.main import main

if __name__ == "__main__":
    raise SystemExit(main())
