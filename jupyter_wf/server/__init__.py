"""The Jupyter server extension: the REST API, the stream of events, and what keeps both alive."""
