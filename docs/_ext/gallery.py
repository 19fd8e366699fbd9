"""The order of the examples: strong and simple first, then by what they are about."""

# examples/README.rst names them in the same order, and says what each family shows.
ORDER = [
    "plot_0_few_labels.py",
    "plot_1_pipeline.py",
    "plot_10_session.py",
    "plot_8_deploy.py",
    "plot_5_strategies.py",
    "plot_3_arrays.py",
    "plot_2_modal.py",
    "plot_4_teacher_report.py",
    "plot_9_few_shot.py",
    "plot_16_prompts.py",
    "plot_13_pool.py",
    "plot_19_photos.py",
    "plot_6_table.py",
    "plot_7_rules.py",
    "plot_11_sound.py",
    "plot_12_clips.py",
    "plot_14_precomputed.py",
    "plot_15_displays.py",
    "plot_17_heads.py",
    "plot_18_your_own.py",
]


class Order:
    """Sort key of sphinx-gallery."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        return ORDER.index(str(name))

    def __repr__(self):
        return f"<{type(self).__name__}>"
