"""Keeping the records: the protocols, and SQLite behind them."""
