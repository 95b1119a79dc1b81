"""The engine and its strategies over recorded bars, with costs: what each gained, and whether that is an edge."""
