"""Doubles of the database servers that not every machine can have: each speaks the wire to the real driver, over a model."""
