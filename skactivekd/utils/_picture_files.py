"""Files of pictures, by their names."""

import os
import re

PICTURE = re.compile(r"\.(jpe?g|png|webp|tiff?|bmp|gif|pp?m|pgm|avif|hei[cf])$", re.IGNORECASE)


def find_pictures(root, avoid=None):
    """Return the image files of a folder, sorted, the number of other files, and linked folders.

    Hidden files and folders are left out, and so is the folder `avoid`. Links to folders are not
    followed: they may lead in circles.
    """
    paths, others, links, faults = [], 0, [], []
    avoid = None if avoid is None else os.path.abspath(avoid)
    if avoid == os.path.abspath(root):
        avoid = None
    for folder, inside, files in os.walk(root, onerror=faults.append):
        inside[:] = sorted(
            name
            for name in inside
            if not name.startswith(".") and os.path.join(folder, name) != avoid
        )
        places = [os.path.join(folder, name) for name in inside]
        links += [place for place in places if os.path.islink(place)]
        for name in sorted(files):
            if PICTURE.search(name) and not name.startswith("."):
                paths.append(os.path.join(folder, name))
            else:
                others += not name.startswith(".")
    if faults:
        raise faults[0]
    return paths, others, links
