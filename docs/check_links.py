"""Check a built site: what its pages link to within it is there, anchors too.

    python docs/check_links.py docs/_build/html

It prints each link that leads nowhere, and ends with status 1 if there is one.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Collect the links and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src", "poster") and value:
                self.links.append(value)
            elif name == "srcset" and value:
                self.links += [part.split()[0] for part in value.split(",") if part.strip()]


def check(root):
    """Return the number of links within a site, and (page, link, reason) of each broken one."""
    root = Path(root).resolve()
    # Themes leave templates among their static files.
    paths = [path for path in root.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Page(path) for path in sorted(paths)}
    n_links, broken = 0, []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # leads out, or is data
            n_links += 1
            target = path
            if parts.path:
                start = root if parts.path.startswith("/") else path.parent
                target = (start / unquote(parts.path).lstrip("/")).resolve()
            if target.is_dir():
                target /= "index.html"
            anchor = unquote(parts.fragment)
            reason = None
            if not target.is_file():
                reason = "no such file"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                reason = "no such anchor"
            if reason:
                broken.append((str(path.relative_to(root)), link, reason))
    return len(pages), n_links, broken


def main(root):
    n_pages, n_links, broken = check(root)
    if not n_pages:
        sys.exit(f"{root} holds no page; build the documentation first.")
    for page, link, reason in broken:
        print(f"{page}: {link}: {reason}")
    print(f"{n_links} links within {n_pages} pages, {len(broken)} broken")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main(*sys.argv[1:] or ["docs/_build/html"])
