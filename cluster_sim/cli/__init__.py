"""The command line: `app` registers the commands, each of which is a module of `commands`."""
