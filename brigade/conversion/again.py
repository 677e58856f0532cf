"""What a run does again: which days, and whether all of them or only what is not there.

A day of the input is a folder `dt=YYYY-MM-DD`, as landing writes it. A plain file that lies in no such folder is in no
day. A day of the table is a partition; for documents that landed the two are the same.
"""

from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

DAY_OF_FILE = r".*/dt=(\d{4}-\d\d-\d\d)/"  # of several such folders in a path the last one counts


@dataclass(frozen=True)
class Again:
    """dates: the first and the last day whose files are read, and no others; None: those of all days.

    missing: of these only files that are new or changed, and those that gave rows to a partition of which a file is
    missing or cut off. Without dates and `missing` a run reads what is new or changed, and a damaged table stops it.
    """

    dates: tuple[date, date] | None = None
    missing: bool = False

    @property
    def repairs(self) -> bool:
        """Whether the run may find files of the table missing."""
        return self.missing or self.dates is not None

    def covers(self, day: str) -> bool:
        """Whether the run answers for a day of the table."""
        return self.dates is None or str(self.dates[0]) <= day <= str(self.dates[1])

    def among(self, day: Column) -> Column:
        """The same as a condition on a column of days."""
        return F.lit(True) if self.dates is None else day.between(*map(str, self.dates))

    def reads(self, file: Column) -> Column:
        """Whether the run may read a file, given its path."""
        return F.lit(True) if self.dates is None else self.among(F.regexp_extract(file, DAY_OF_FILE, 1))

    def __str__(self) -> str:
        return "..".join(map(str, sorted({*self.dates}))) if self.dates else "all days"


NEW_FILES = Again()
