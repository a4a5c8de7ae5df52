"""The version of a file's format."""

import msgspec


class _Versioned(msgspec.Struct, frozen=True):
    format: int = 0


def check_format(text: str | bytes, newest: int, kind: str) -> None:
    """Refuse a file of a later format, before anything else in it is judged.

    Args:
        text: The JSON of the file; other text is left to the file's own decoder.
        newest: The newest format that this version of the library reads.
        kind: The kind of file, for the message.

    Raises:
        ValueError: A later version of the library wrote the file.
    """
    try:
        found = msgspec.json.decode(text, type=_Versioned).format
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    if found > newest:
        raise ValueError(
            f"this {kind} has format {found}, and this version of arize-roles-async reads formats "
            f"up to {newest}: a later version wrote it"
        )
