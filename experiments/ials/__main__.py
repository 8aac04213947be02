"""`python -m experiments.ials`."""

from experiments.ials.main import main

if __name__ == "__main__":
    raise SystemExit(main())
