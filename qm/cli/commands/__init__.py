"""The commands of qmclient. Each gets the arguments, a client and the output, and gives the exit code."""
