"""What arithmetic alone says of a scenario, its traffic and its network: no time passes here."""
