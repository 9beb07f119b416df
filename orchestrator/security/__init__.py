"""Who may do what: the lab's authority, tokens, roles, and the book of what was done."""
