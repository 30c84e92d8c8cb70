"""Parts of tables, too."""

from tests.engines.test_filters import *  # noqa: F403
