"""The server's half of the wire that python-oracledb's thin mode speaks: TNS packets, and TTC messages within them.

It is a double, written after the client's half, the driver's own source (release 26.1: oracledb/impl/thin and impl/base);
names of fields are that source's. Whatever version the instance says it has, the wire is that of 19c: no fast
authentication, no end-of-response flag. LOBs, objects, OUT binds, scrolling, pools on the server and out-of-band breaks
are not spoken; a bind of another type is refused with ORA-03115.

- `packets`: framing, the listener's accept and refuse, break and reset markers.
- `values`: integers, texts, numbers and dates as bytes.
- `requests` and `responses`: what the client asks, what it is answered.
- `verifier`: the proof of a password, with the 12c verifier.
- `conversation`: one connection from its first packet to its last. `listener`: the port they come in by.
"""
