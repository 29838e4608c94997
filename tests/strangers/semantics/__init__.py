"""The cases that are played against both clouds, one file a service."""
