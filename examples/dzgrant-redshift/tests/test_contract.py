"""dzgrant's own contract suite, for an adapter that is none of its own."""

from tests.engines.test_contract import *  # noqa: F403
