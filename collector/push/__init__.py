"""The push side: one socket for each connection that a vendor's symbols need, held open, watched, never trusted."""
