"""Doubles of the database servers that cannot be had on every machine: they speak the wire to the real drivers, over a model."""
