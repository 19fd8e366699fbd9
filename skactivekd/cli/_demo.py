"""``skactivekd demo``: the main job on handwritten digits."""

import click

from ._options import Count


@click.command(
    help="Learn handwritten digits from 10 to 80 labels, with and without a teacher and with "
    "several strategies; print the table and write the plot."
)
@click.option("--out", default="skactivekd-demo.png", show_default=True, help="The plot.")
@click.option("--seeds", type=Count(), default=3, show_default=True, help="Runs per curve.")
def demo(out, seeds):
    """Play."""
    from ..demo import find_plot, run_demo

    try:
        find_plot(out)
    except (ImportError, OSError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    run_demo(out, seeds)


commands = {"demo": demo}
