"""The local cloud: an embedded AWS of three accounts, for the demo, the tests and the bench (docs/local-cloud.md).

From outside in: `process` and `client` (a child process and its control API), `server` and `app` (HTTP, the journal of
calls, faults), `control` and `commands` (what people and tests make happen), `aws` (every service: moto's, corrected by
`dynamodb`, `secrets`, `roles` and `connections`; our own `sqs` and `datazone`). `provision` makes what a deployment makes.

moto is imported in this room only, and by the server's process only.
"""
