"""Where task calls run. An executor knows a call and its outcome: no store, no state, no event."""
