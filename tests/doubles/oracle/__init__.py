"""A double of an Oracle server.

`seam` joins the wire that python-oracledb thin speaks to a model of users, privileges and sessions.
"""
