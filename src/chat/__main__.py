"""The command: `python -m chat LINK` joins a room from a shell, with the page's encryption."""

import asyncio
import logging
import sys
from json import dumps
from typing import Annotated

import typer

from chat.seals import Link
from chat.terminal import http
from chat.terminal.errors import RoomError
from chat.terminal.room import Room
from chat.terminal.screen import Screen
from chat.terminal.script import follow, send

MAX_NAME = 40

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command(epilog="Exit codes: 0 fine, 1 refused or not reached, 2 wrong usage.")
def main(
    link: Annotated[
        str,
        typer.Argument(
            metavar="LINK",
            envvar="FLEETING_LINK",
            help="The room's link, or - to read it from standard input's first line, so that `ps` does not show it. "
            "With --new the address of a Fleeting, such as http://localhost:3000.",
        ),
    ],
    name: Annotated[str, typer.Option(envvar="FLEETING_NAME", help="Your name there; asked for otherwise.")] = "",
    passphrase: Annotated[
        str, typer.Option(envvar="FLEETING_PASSPHRASE", help="The room's, if it has one; asked for otherwise.")
    ] = "",
    owner_key: Annotated[
        str, typer.Option(envvar="FLEETING_OWNER_KEY", help="The owner's key, as --new --json shows it.")
    ] = "",
    texts: Annotated[
        list[str] | None,
        typer.Option("--send", metavar="TEXT", help="Say this and leave; several, or - for standard input's lines."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for whatever happens; standard input's lines are said.")
    ] = False,
    new: Annotated[bool, typer.Option("--new", help="Create a room, show its link, and join it.")] = False,
    title: Annotated[str, typer.Option(help="With --new: the room's title.")] = "",
    ttl: Annotated[int, typer.Option(min=60, max=604_800, help="With --new: seconds that the room lives.")] = 3600,
    people: Annotated[int, typer.Option(min=2, max=500, help="With --new: most people at once.")] = 50,
    burn_when_empty: Annotated[
        bool, typer.Option("--burn-when-empty", help="With --new: the room burns when the last one leaves.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log what happens underneath, to standard error.")] = False,
) -> None:
    """Join a room of Fleeting from a shell. What you write is encrypted here, as in the page."""
    logging.basicConfig(level="DEBUG" if debug else "CRITICAL", stream=sys.stderr)
    if link == "-":
        link = sys.stdin.readline().strip()
    wish = http.NewRoom(title, ttl, people, passphrase, burn_when_empty) if new else None
    try:
        asyncio.run(_run(link, name, passphrase, owner_key, texts or [], json, wish))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except RoomError as error:
        print(error.message, file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _run(
    address: str, name: str, passphrase: str, owner_key: str, texts: list[str], json: bool, wish: http.NewRoom | None
) -> None:
    if wish:
        link, owner_key = await http.create(address, wish)
        print(dumps({"type": "created", "link": str(link), "owner_key": owner_key}) if json else link, flush=True)
    else:
        link = Link.parse(address)
        if not passphrase and (await http.show(link))["passphrase"]:
            passphrase = _asked("Passphrase", "--passphrase", is_secret=True)
    name = (name or _asked("Your name", "--name")).strip()
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"A name has 1 to {MAX_NAME} characters.")
    room = Room(link, name, passphrase, owner_key)
    if texts:
        texts = [line for text in texts for line in (sys.stdin.read().splitlines() if text == "-" else [text]) if line]
        await send(room, texts, json_lines=json)
    elif json or not sys.stdin.isatty():
        await follow(room, json_lines=json)
    else:
        await Screen(room).run()


def _asked(what: str, option: str, *, is_secret: bool = False) -> str:
    if not sys.stdin.isatty():
        raise ValueError(f"{what}: say {option}; there is no terminal to ask on.")
    return str(typer.prompt(what, hide_input=is_secret))


if __name__ == "__main__":
    cli(prog_name="python -m chat")
