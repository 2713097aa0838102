"""The commands, one file for each: they parse, call one function, and print."""
