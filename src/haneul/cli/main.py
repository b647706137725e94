"""The `haneul` command: options only. Each command's work is a module of the same name, imported when it is called."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from haneul.cli.state import DEFAULT, Stop
from haneul.kernel.config import ConfigError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="A cloud operating system in one package. It speaks OpenStack's APIs.")
image = typer.Typer(no_args_is_help=True, help="Images that haneul makes itself.")
app.add_typer(image, name="image")

State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The cloud's state directory.")]


class Hypervisor(StrEnum):
    auto = "auto"
    qemu = "qemu"
    fake = "fake"


class Suite(StrEnum):
    fast = "fast"
    faults = "faults"
    real = "real"
    all = "all"


@app.command()
def up(
    state: State = DEFAULT,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the cloud is up.")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of every API; remembered. First time: 5000.")] = None,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Image, flavors, networks and a first server.")] = True,
    hypervisor: Annotated[Hypervisor | None, typer.Option(help="What runs servers; remembered.")] = None,
) -> None:
    """Start the cloud, or whatever of it does not run."""
    from haneul.cli import up as command
    command.run(state, detach, port, demo, hypervisor.value if hypervisor else None)


@app.command()
def env(state: State = DEFAULT) -> None:
    """Print the shell's variables for the `openstack` command: eval "$(./haneul env)"."""
    from haneul.cli import env as command
    command.run(state)


@app.command()
def status(state: State = DEFAULT, json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Processes, hosts, servers, tasks and leaks on one screen. Exit code 0 when all is well."""
    from haneul.cli import status as command
    command.run(state, json)


@app.command()
def down(
    state: State = DEFAULT,
    purge: Annotated[bool, typer.Option("--purge", help="Remove servers, disks, networks and the state directory too.")] = False,
) -> None:
    """Stop the control plane and the agent. Servers keep running and are adopted by the next `up`."""
    from haneul.cli import down as command
    command.run(state, purge)


@app.command()
def test(
    suite: Annotated[Suite, typer.Argument(help="Which part.")] = Suite.all,
    database: Annotated[str, typer.Option(help="sqlite, postgresql or both.")] = "both",
    select: Annotated[str, typer.Option("-k", metavar="EXPRESSION", help="Only tests whose names match, as pytest's -k.")] = "",
) -> None:
    """Run the test suite: fast, faults, real, or all three in this order."""
    from haneul.cli import test as command
    command.run(suite.value, database, select)


@app.command()
def config(state: State = DEFAULT) -> None:
    """Print the effective configuration."""
    from haneul.cli import config as command
    command.run(state)


@app.command()
def routes() -> None:
    """Print every route with its policy rule and microversions."""
    from haneul.cli import routes as command
    command.run()


@image.command("build-guest")
def build_guest(output: Annotated[Path | None, typer.Argument(help="Where to; without it, the cache.")] = None) -> None:
    """Build the small bootable guest image from Debian packages."""
    from haneul.cli import image as command
    command.build_guest(output)


@app.command()
def tempest(
    selection: Annotated[str, typer.Argument(help="interop, smoke, a service, scenario, a name, or an expression.")] = "interop",
    state: State = DEFAULT,
    concurrency: Annotated[int, typer.Option(min=1, help="How many tests at once.")] = 2,
    report: Annotated[Path | None, typer.Option(help="Write every test's outcome there, as JSON.")] = None,
    hypervisor: Annotated[Hypervisor | None, typer.Option(
        help="Make a cloud for the tests, with this; else only when none runs.")] = None,
) -> None:
    """Run OpenStack's own tests against the running cloud, or against one made for them."""
    from haneul.cli.tempest import command
    command.run(selection, state, concurrency, report, hypervisor.value if hypervisor else None)


@app.command("tempest-config")
def tempest_config(
    state: State = DEFAULT,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to; without it, standard output.")] = None,
    web: Annotated[str | None, typer.Option(help="URL of an image that the cloud may import.")] = None,
) -> None:
    """Write tempest.conf for the running cloud."""
    from haneul.cli.tempest import config as command
    command.run(state, output, web)


def main() -> None:
    try:
        app(prog_name="haneul")
    except (Stop, ConfigError) as stop:
        print(f"haneul: {stop}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a full disk, a file where a directory should be, ...
        print(f"haneul: {error.filename or 'the operating system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
