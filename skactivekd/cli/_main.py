"""The commands, and what becomes of their errors."""

import sys
import warnings
from importlib import import_module
from importlib.metadata import version

import click

from ._errors import in_words, one_line
from ._progress import say

# Each in a module of its own, so that --help needs no torch: name -> module and what help says.
_COMMANDS = {
    "label": ("_label", "Label on a page in your browser, while a student learns."),
    "fit": ("_fit", "Train the student on all labels, and save it in model/."),
    "predict": ("_predict", "Write the classes of new files into a table."),
    "report": ("_report", "Say how good the student is, what it cost, whether to go on."),
    "export": ("_exchange", "Write the model, or the labels, for other programs."),
    "import": ("_exchange", "Take in labels from a file."),
    "simulate": ("_simulate", "Play the labeling through where the labels are known."),
    "demo": ("_demo", "See it work: handwritten digits, few labels, offline."),
}


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx):
        return list(_COMMANDS)

    def get_command(self, ctx, name):
        if name not in _COMMANDS:
            return None
        module = import_module(f".{_COMMANDS[name][0]}", __package__)
        return module.commands[name]

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(self, ctx, args):
        """Name the commands to who typed another one."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}; there are {', '.join(_COMMANDS)}.")
        return super().resolve_command(ctx, args)


@click.command(
    cls=_Commands,
    help="From a folder of files to a compact classifier: label on a page while a student learns, "
    "with the help of a large pretrained teacher.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("skactivekd"), prog_name="skactivekd", message="%(prog)s %(version)s")
def program():
    """Hold the commands together."""


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; None takes those of the process.

    Raises
    ------
    SystemExit
        With status 1 if files could not be read by ``predict``, 2 if the command could not do
        what it should, 130 after Ctrl-C, and 0 after ``--help`` and ``--version``.
    """
    status = _run(argv)
    if status is not None:
        sys.exit(status)


def run(argv=None):
    """Run the command line; return the exit status."""
    return _run(argv) or 0


def _run(argv):
    """Return the exit status, None where the command came to its end."""
    with warnings.catch_warnings():
        if not sys.warnoptions and argv is None:
            warnings.showwarning = _tell
        try:
            with in_words():
                return program.main(args=argv, prog_name="skactivekd", standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "skactivekd"
            say(f"skactivekd: {_what_is_wrong(error)} See `{path} --help`.", err=True)
        except click.ClickException as error:
            error.show()
        except (KeyboardInterrupt, click.Abort):
            say("Stopped. What was answered is kept.", err=True)
            return 130
    return 2


def _what_is_wrong(error):
    if isinstance(error, click.BadParameter) and (error.param_hint or error.param):
        named = error.param_hint or error.param.opts[0]
        return f"argument {named}: {error.message.rstrip('.')}."
    return error.format_message()


def _tell(message, category, *_, **__):
    say(f"Note: {one_line(message)}", err=True)
