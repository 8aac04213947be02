"""python -m experiments.export: see main.py."""

from experiments.export.main import main

main()
