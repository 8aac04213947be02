"""`python -m experiments.bench`: set what must be there before the process starts, then measure."""

import sys

from experiments.bench.main import parse, run
from experiments.bench.process import start_again

if __name__ == "__main__":
    options = parse(sys.argv[1:])
    start_again(options.threads)
    raise SystemExit(run(options))
