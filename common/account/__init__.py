"""What belongs to the account and to no symbol: its currency, and the rules that its owner set. Pure."""
