"""Pages and files that are generated from the tables of rolewatch. Not shipped."""
