"""T-SQL as text: tokens, grammar and the tree that the grammar makes. Knows neither the wire nor the model."""
