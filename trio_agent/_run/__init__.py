"""One execution of an agent: what happens, who does it, what came of it."""
