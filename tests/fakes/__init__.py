"""AWS and an engine in memory: exactly the operations that dzgrant uses, with the answers and the errors of AWS.

Nothing here knows asyncio, HTTP or threads. Each service takes a call's parameters and gives its answer at once, in time
that does not grow with what it holds; `Cloud.call` is the one way in, and `client` what stands where a botocore client would.
`test_conformance.py` holds the fakes to the local cloud, and names where AWS is otherwise than moto.
"""
