"""What all servers have in common: who may come in, what is offered, and how errors are told."""
