"""The commands of ``%wf``, one module for each group of them."""
