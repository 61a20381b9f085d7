"""A package of somebody else's with one reward, found by `register` or the entry-point group lakesift.rewards."""
