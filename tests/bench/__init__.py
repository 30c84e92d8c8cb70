"""`make bench`: what a grant and a revoke cost, counted and timed from outside the worker, each beside its goal.

`python -m tests.bench --quick` is smaller; `--check` ends with exit code 1 when a goal is missed.
docs/performance.md says how each figure is measured.
"""
