"""`make simulate`: histories by their seeds, or one by a fresh seed; the exit code says whether all went well.

One seed is one history under one PYTHONHASHSEED, by which sets have their order: 0, as make sets it.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.simulation.story import simulated


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.simulation")
    arguments.add_argument("seeds", nargs="*", type=int, help="none: a fresh one")
    arguments.add_argument("--steps", type=int, default=40, help="changes that people make")
    arguments.add_argument("--verbose", action="store_true", help="the workers' logs, too")
    given = arguments.parse_args()
    failed = False
    for seed in given.seeds or [random.SystemRandom().randrange(10**6)]:
        print(f"seed {seed} ...", flush=True)
        told = simulated(seed, given.steps, verbose=given.verbose)
        print(told, flush=True)
        failed |= bool(told.problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
