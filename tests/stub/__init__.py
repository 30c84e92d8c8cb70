"""The fakes of AWS over HTTP, in a process of their own: fast enough to load a worker, where moto is not.

It answers like the local cloud, its control API and its geography included, so that a worker can't tell them apart.
"""
