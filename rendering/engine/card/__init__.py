"""What a graphics card does with pictures beside running networks. Needs torch; never needs a card."""
