"""A double of an Oracle database, over the wire: no real one can be had on every machine.

python-oracledb's thin mode logs into it over TLS that it verifies, as into the real server. It is a double: it knows what
dzgrant's adapter and its tests need, and refuses everything else with the error that the real server has for a statement it
can't read, or with ORA-03001 (unimplemented feature) where the real server could do it. Nothing is ignored, and its log says
what was refused. Where Docker can have the real image (gvenzl/oracle-free), `make test-containers` runs the same tests there.

What it models, and from where:
- `wire`, behind `seam`: the server's half of what python-oracledb speaks, after the driver's open source.
- `lexer` to `queries`: names, literals, expressions, conditions and SELECT, from the SQL Language Reference 19c.
- `statements` and what it calls: CREATE, ALTER and DROP of users, profiles, roles, tables and views, GRANT and REVOKE, each
  from its page of that reference; blocks from the PL/SQL Language Reference; privileges, roles and definer's rights from
  the Security Guide; error numbers from Database Error Messages. `rdsadmin` is from the Amazon RDS User Guide.
- `reading`: any query over tables, views and the data dictionary (Database Reference) is translated to SQLite, so that
  nothing in it knows the text of a query.
- `model`: sessions, which one can kill, cancel, and hold up by locks. One statement runs at a time.

What it does not: versions of a row (changes are seen before they are committed), constraints, indexes, sequences, synonyms,
OUT binds, digits beyond a float's, days of grace of a password, several instances of a cluster (INST_ID is always 1).

Its log is as the real audit trail: `IDENTIFIED BY *`, since the real server never shows a password either; all else that
a statement holds is there in full.
"""
