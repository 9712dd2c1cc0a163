"""The commands, one module each; a module imports what its command needs when it is called."""
