"""Whether a call is allowed, as IAM decides it, for every session of a role.

From inside out: `patterns` and `conditions` (what a statement's words match), `documents` (a policy's text, parsed once),
`evaluation` (which policies must allow: AWS's policy evaluation logic), `asking`, `sealed` and `requests` (what a call asks
for, as the Service Authorization Reference names it), `guard` (who is let through, and the record of what was used).

What is not understood is never let through in silence: an unknown operation, operator or condition key is a refusal, told
like any other at `GET /_local/rights`.
"""
