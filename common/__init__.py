"""Parts that two or more of the five scripts share, one subject a file.

The contract: nothing here prints (a progress bar excepted), owns a path, reads a script's settings or
imports a script. Everything a user can cause is raised as `errors.UserError`, whose text is complete.
"""
