"""Rules say which checkpoint key becomes which parameter; here they are read, bound to headers, proved and inverted."""
