"""A marker is read as it was written, and a later fence is never undone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dzgrant.engines.contract import Owner
from dzgrant.engines.marker import Marker, admitted
from dzgrant.errors import LeaseLost, Refused

MARKER = Marker(owner=Owner(domain="dzd_1", project="prj-1", environment="env-1"), fence=5)
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,36}", fullmatch=True)
OWNERS = st.builds(Owner, domain=IDS, project=IDS, environment=IDS)


class Permit:
    def __init__(self, fence: int) -> None:
        self.fence = fence

    def check(self, seconds: float) -> None:
        """It outlasts everything."""


def test_its_form_is_stable() -> None:
    assert str(MARKER) == "managed-by=dzgrant;domain=dzd_1;project=prj-1;environment=env-1;fence=5"


@given(owner=OWNERS, fence=st.integers(0, 2**63))
def test_it_is_read_as_it_was_written(owner: Owner, fence: int) -> None:
    marker = Marker(owner=owner, fence=fence)
    assert Marker.read(str(marker)) == marker


@given(environment=st.text(max_size=40))
def test_no_id_passes_for_the_fence(environment: str) -> None:
    marker = Marker(owner=Owner(domain="d", project="p", environment=environment), fence=5)
    read = Marker.read(str(marker))
    assert read is not None
    assert read.fence == 5


@pytest.mark.parametrize("comment", [None, "", "the reporting team's", "managed-by=dzgrant", f"x{MARKER}", f"{MARKER}x"])
def test_any_other_comment_is_no_marker(comment: str | None) -> None:
    assert Marker.read(comment) is None


def test_a_permit_leaves_its_fence() -> None:
    assert admitted("dz_1", MARKER, Permit(5)) == MARKER
    assert admitted("dz_1", MARKER, Permit(6)) == replace(MARKER, fence=6)


def test_a_permit_that_came_too_late_is_lost() -> None:
    with pytest.raises(LeaseLost):
        admitted("dz_1", MARKER, Permit(4))


def test_an_unmarked_login_is_refused() -> None:
    with pytest.raises(Refused, match="dz_1"):
        admitted("dz_1", None, Permit(9))
