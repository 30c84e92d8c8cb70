"""The wire: [MS-TDS] 7.4 as Microsoft's ODBC Driver 18 speaks it. Knows nothing of SQL."""
