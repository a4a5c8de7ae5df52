"""Sockets: the client over aiohttp."""
