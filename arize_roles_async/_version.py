"""The version of the distribution, read by the build and sent to the service."""

__version__ = "0.7.0"
