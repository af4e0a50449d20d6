"""Errors that a user can cause: one line that says what is wrong, what would be right, and what to type."""

import functools
import sys

from common import commands

ROWS_SHOWN = 20


class UserError(Exception):
    """Something that a user can cause and fix. Its text names the file, the value and the next command."""

    status = 1  # that the script exits with


class SettingError(UserError):
    """A wrong option or setting, told before anything is read."""

    status = 2


def list_rows(rows: list[str], shown: int = ROWS_SHOWN) -> str:
    """The first `shown` of many bad rows, one a line and indented, then how many more there are."""
    lines = [f"  {row}" for row in rows[:shown]]
    if len(rows) > shown:
        lines.append(f"  ... and {len(rows) - shown} more")
    return "\n".join(lines)


def reported(main):
    """Decorate a script's `main`: a UserError becomes its text on standard error and its exit status.

    Any other exception keeps its traceback, since it is a bug, except an interrupt (exit status 130) and
    a file that the system would not read or write (full disk, no permission): users cause those too.
    """

    @functools.wraps(main)
    def run(*args, **kwargs):
        # A console that can't show a character (Windows' cp1252, say) shows its code, and the script goes on.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return main(*args, **kwargs)
        except UserError as error:
            message, status = f"error: {commands.completed(str(error))}", error.status
        except KeyboardInterrupt:
            message, status = "stopped. Run the same command again to continue.", 130
        except OSError as error:
            # Those of a missing module's file, a socket and the like carry no file name: they are bugs.
            if error.filename is None:
                raise
            message, status = f"error: {error.filename}: {error.strerror}", 1
        print(message, file=sys.stderr)
        sys.exit(status)

    return run
