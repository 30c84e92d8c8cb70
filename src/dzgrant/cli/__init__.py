"""The commands. `app` is what a person sees of them; every other module here does the work of one."""

from dzgrant.cli.app import main

__all__ = ["main"]
