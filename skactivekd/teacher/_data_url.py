"""A picture as a data URL, as chat servers take it."""

import base64
import io

from ..encoders._read_image import open_image

_SMALL = 128**2  # pixels up to which nothing may be lost: icons, digits
_QUALITY = 95  # of JPEG


def data_url(item, max_side):
    """Write a picture upright, in RGB, at most so large: PNG if it is small, else JPEG."""
    from PIL import Image

    image = open_image(item)
    if max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    kind = "png" if image.size[0] * image.size[1] <= _SMALL else "jpeg"
    file = io.BytesIO()
    image.save(file, kind.upper(), **({"quality": _QUALITY} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
