"""What a platform has of this project: the classes that the node's failures are re-created as."""
