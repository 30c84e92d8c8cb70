"""Runs batches of T-SQL on the model. Knows nothing of the wire."""
