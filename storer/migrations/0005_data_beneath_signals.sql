-- What a signal's bar was made of. NULL: published before this was told, or no quote had bid and ask.
ALTER TABLE signals ADD COLUMN data_score REAL;
ALTER TABLE signals ADD COLUMN spread REAL;
