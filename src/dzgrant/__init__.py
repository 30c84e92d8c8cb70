"""dzgrant: access to relational tables, because an Amazon DataZone subscription says so."""

from importlib.metadata import version

__version__ = version("dzgrant")
