"""The two forms of what a mail says: plain text and HTML, from one content."""

import unicodedata
from dataclasses import dataclass
from html import escape

from domain.channels import Content, Entry

# Mail programs know no style sheets, and little else.
_PAGE = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
    '<body style="font-family:sans-serif;line-height:1.5;max-width:40em">\n{body}</body></html>\n'
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail's subject and its two bodies."""

    subject: str
    text: str
    html: str


def letter(content: Content, unsubscribe_url: str | None) -> Letter:
    """Returns the content as a mail; with its last line one gets no more of the kind."""
    title = one_line(content.title)
    text = [title]
    if content.lines:
        text += ["", *map(one_line, content.lines)]
    html = [f'<h1 style="font-size:1.2em">{_linked(title, content.url)}</h1>']
    html += [f"<p>{escape(one_line(line))}</p>" for line in content.lines]
    if content.url is not None:
        text += ["", content.url]
    for section in content.sections:
        heading = one_line(section.heading)
        text += ["", f"{heading}:", *(line for entry in section.entries for line in _item(entry))]
        items = "".join(f"<li>{_html_item(entry)}</li>\n" for entry in section.entries)
        html.append(f'<h2 style="font-size:1em">{escape(heading)}</h2>\n<ul>\n{items}</ul>')
    if unsubscribe_url is not None:
        text += ["", "-- ", f"No more mails of this kind: {unsubscribe_url}"]
        link = _linked("No more mails of this kind", unsubscribe_url)
        html.append(f'<p style="font-size:0.8em">{link}</p>')
    body = "".join(f"{line}\n" for line in html)
    return Letter(
        subject=title,
        text="\n".join(text) + "\n",
        html=_PAGE.format(title=escape(title), body=body),
    )


def one_line(text: str) -> str:
    """Returns the text as one line that every wire carries.

    What is no character (NUL, controls, line ends, lone surrogates) becomes a space.
    """
    kept = (" " if unicodedata.category(char) in _NO_CHARACTER else char for char in text)
    return " ".join("".join(kept).split())


# Controls, lone surrogates, line and paragraph separators.
_NO_CHARACTER = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _item(entry: Entry) -> list[str]:
    detail = f" ({one_line(entry.detail)})" if entry.detail else ""
    link = [] if entry.url is None else [f"  {entry.url}"]
    return [f"- {one_line(entry.title)}{detail}", *link]


def _html_item(entry: Entry) -> str:
    detail = f" ({escape(one_line(entry.detail))})" if entry.detail else ""
    return _linked(one_line(entry.title), entry.url) + detail


def _linked(text: str, url: str | None) -> str:
    shown = escape(text)
    return shown if url is None else f'<a href="{escape(url)}">{shown}</a>'
