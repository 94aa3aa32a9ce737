"""``make demo``: the whole path on the drawn wardrobe, from nothing to answered queries."""
