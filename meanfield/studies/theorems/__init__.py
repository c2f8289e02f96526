"""The paper's three theorems as measurements that any game can be put to."""
