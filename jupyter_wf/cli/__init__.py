"""The command line: ``jupyter wf``."""
