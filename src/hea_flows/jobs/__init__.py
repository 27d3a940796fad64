"""One Maker per unit of retry and of database output; each wraps pure functions."""
