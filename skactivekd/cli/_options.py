"""Options that several commands have."""

import click

project_option = click.option(
    "--project",
    metavar="DIR",
    help="Folder of the project; without it the one that is here.",
)

_LONGEST = 100  # characters of a name, as on the page


def _check_name(ctx, param, name):
    if name is not None and not (0 < len(name.strip()) <= _LONGEST and name.isprintable()):
        raise click.BadParameter(f"{name[:40]!r} is no name of up to {_LONGEST} characters")
    return name


annotator_option = click.option(
    "--annotator", metavar="NAME", help="Who answers.", callback=_check_name
)


def model_options(command):
    """Add what a project is begun with: classes, teacher, student, seed."""
    for name, metavar, text in (
        ("--seed", None, "Of everything that is drawn."),
        ("--student", "MODEL", "auto, or a model of timm for images."),
        (
            "--teacher",
            "MODEL",
            "open_clip's model and weights (ViT-B-32:laion2b_s34b_b79k), a folder of such a "
            "model, of a sentence-transformers model for texts, or none.  [default: none]",
        ),
        ("--classes", "A,B,C", "Names of the classes, or @FILE with one a line."),
    ):
        kind = int if name == "--seed" else str
        command = click.option(name, metavar=metavar, type=kind, help=text)(command)
    return command


def source_options(command):
    """Add what says how a source is to be read."""
    for name, text in (
        ("--id-column", "Column by which rows are known; else it is their content."),
        ("--label-column", "Column with labels that are known already."),
        ("--columns", "Numeric columns, by commas."),
        ("--path-column", "Column with paths of images, relative to the table."),
        ("--text-column", "Column with texts."),
    ):
        command = click.option(name, metavar="NAME", default="", help=text)(command)
    return command


class Count(click.ParamType):
    """A whole number of at least one."""

    name = "n"

    def convert(self, value, param, ctx):
        """Read it."""
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r} is no whole number of at least 1", param, ctx)
        return number
