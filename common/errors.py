"""Errors that a user can cause: one line that says what is wrong, what would be right, and what to type."""

import errno
import functools
import os
import sys

from common import commands

ROWS_SHOWN = 20
STOPPED = "stopped. Run the same command again to continue."
# What the system says of a full, broken or read-only disk, of locks and of its own limits.
OF_THE_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOLCK, errno.EMFILE, errno.ENOMEM}


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
    what the system would not do (full disk, no permission, no locks): users cause those too. Where nobody
    reads the output any more (`| head`) the script ends quietly.
    """

    @functools.wraps(main)
    def run(*args, **kwargs):
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed from the start: a service's, or `>&-`
                setattr(sys, name, open(os.devnull, "w"))
        # A console that can't show a character (Windows' cp1252) shows its code, and the script continues.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            result = main(*args, **kwargs)
            sys.stdout.flush()  # a closed pipe shows itself here, not behind our back at exit
            return result
        except BrokenPipeError:
            # What is still in the buffer has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except UserError as error:
            message, status = f"error: {commands.completed(str(error))}", error.status
        except KeyboardInterrupt:
            message, status = STOPPED, 130
        except OSError as error:
            # Those of a socket and the like carry no file name: they are bugs.
            if error.filename is None and error.errno not in OF_THE_SYSTEM:
                raise
            place = f"{error.filename}: " if error.filename else ""
            # Only `mkdir` says so; the name may be a link that leads nowhere.
            reason = "no folder, and one is needed" if error.errno == errno.EEXIST else error.strerror
            message, status = f"error: {place}{reason}", 1
        print(message, file=sys.stderr)
        sys.exit(status)

    return run


def _interrupted(kind: type[BaseException], error: BaseException, trace) -> None:
    """What is said of an exception that nobody caught: an interrupt while modules are imported is no bug."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _interrupted  # scripts import this module before the slow ones
