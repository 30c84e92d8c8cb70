"""The model: logins, users, objects, privileges, locks, sessions. Knows neither T-SQL's grammar nor the wire."""
