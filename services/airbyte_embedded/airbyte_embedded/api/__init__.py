"""The handlers, one file a resource. Each takes a Call and gives an answer or raises a Problem."""
