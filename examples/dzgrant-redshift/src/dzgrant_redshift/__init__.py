"""Amazon Redshift as an engine of dzgrant: an example of an adapter in a package of its own.

Redshift speaks PostgreSQL's protocol and much of its SQL, but has neither advisory locks nor comments on users nor
access lists that can be taken apart. So dzgrant's markers, fences and grants are three columns in two tables of the
admin's own (`dzgrant.logins`, `dzgrant.grants`); DDL is transactional, so that they change together with the access they
speak of; and LOCK on the first makes one worker wait for another. No consumer may see them.

The admin login needs: CREATE USER, ALTER USER, DROP USER; CREATE on the database; the tables, or SELECT on them with grant
option, and USAGE on their schemas with grant option; to end others' sessions.

The tests run the same statements on PostgreSQL, whose rules for them are the same or stricter: a Redshift was never at hand.
"""

from __future__ import annotations

from dzgrant.engines.contract import Limits
from dzgrant.model import Credentials, Source
from dzgrant_redshift.database import RedshiftDatabase


class RedshiftAdapter:
    """The entry point's object; it holds nothing."""

    def open(self, source: Source, admin: Credentials, limits: Limits) -> RedshiftDatabase:
        return RedshiftDatabase(source, admin, limits)


adapter = RedshiftAdapter()
