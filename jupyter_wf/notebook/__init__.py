"""Notebooks as flows: reading them, their parameters, and running them in a kernel of their own."""
