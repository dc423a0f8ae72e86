"""One operator for each interface of the manual."""
