"""The long jobs behind the commands: each writes into a run folder, shows progress and can be continued."""
