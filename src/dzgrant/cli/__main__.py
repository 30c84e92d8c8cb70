"""`python -m dzgrant.cli`."""

from dzgrant.cli import main

main()
