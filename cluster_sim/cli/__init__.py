"""The command line: `app` registers the commands; each command is a module of `commands`."""
