# `python -m tests.tools.fuzz_responses` runs 100,000 examples.


from tests.tools.fuzz_responses import fuzz_socket, fuzz_wire


def test_responses() -> None:
    """Any response ends in a valid model or in one of our errors."""
    fuzz_wire(250)


def test_sockets() -> None:
    """Any bytes on a socket end in a valid model or in one of our errors."""
    fuzz_socket(100)
