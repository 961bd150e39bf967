"""Records of the state, one file per noun; `state.py` has the containers and the older nouns."""
