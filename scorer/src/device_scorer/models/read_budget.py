"""The memory that the closed forms of one file may take.

Models of a file may share an array, and each closed form keeps numbers of its own. So a file of a thousand bytes could
take gigabytes. The arrays of a file draw on one budget, which grows with the file.
"""

NUMBER_BYTES = 32
"""Memory of a number that a closed form keeps as a float in a tuple; NumPy needs less."""

MIN_BYTES = 16 * 2**20
MAX_BYTES = 256 * 2**20
BYTES_PER_FILE_BYTE = NUMBER_BYTES // 8
"""The budget has a number for each 8 bytes of the file, and some more: sound models seldom share arrays."""


class ReadBudget:
    """The rest of the memory that the closed forms of one file may take.

    Args:
        file_bytes: The size of the file, without compression.
    """

    __slots__ = ("_left",)

    def __init__(self, file_bytes: int = 0) -> None:
        self._left = min(MIN_BYTES + BYTES_PER_FILE_BYTE * file_bytes, MAX_BYTES)

    def take(self, count: int) -> bool:
        """Subtract memory before it is allocated, and return True; or return False if the budget has less.

        Args:
            count: The number of bytes.
        """
        if count > self._left:
            return False
        self._left -= count
        return True
