"""Code, layers and packages of functions: found, built once, and kept."""

import asyncio
import io
import json
import os
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.console import Console
from gateway.credentials import Credentials
from gateway.errors import GatewayError
from gateway.functions import runtimes
from gateway.functions.build import build, rebuild, watched
from gateway.functions.imports import missing
from gateway.functions.pool import Pool, environment
from gateway.functions.requirements import requirement_lines, satisfied
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec, MakeSpec

pytestmark = pytest.mark.anyio


class Bench:
    """Builds and calls functions whose code is under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.out = io.StringIO()
        self.unsupported: dict[str, str] = {}

    def write(self, path: str, text: str) -> Path:
        """Write a file of some function."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def wheel(self, name: str, version: str) -> None:
        """Make a package of one module, which pip finds without any network."""
        folder = self.root / "wheels"
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name}.py", f"version = '{version}'")
            information = f"{name}-{version}.dist-info"
            archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{information}/RECORD", "")

    def spec(self, handler: str = "main.handler", code: str = "code", **changes: Any) -> FunctionSpec:
        """Return a function."""
        return FunctionSpec("Fn", "local-Fn", "arn", handler, self.root / code, **changes)

    async def built(self, spec: FunctionSpec) -> FunctionSpec:
        """Return the function, ready to run."""
        (made,) = await build([spec], self.unsupported, Console(self.out, self.out), self.cache)
        return made

    async def answer(self, spec: FunctionSpec) -> Any:
        """Return what the function answers once it is built."""
        made = await self.built(spec)
        settings = Settings()
        pool = Pool(
            made,
            environment(made, "http://127.0.0.1:1", None, settings),
            settings,
            Clock(),
            Journal(),
            Credentials(),
            fresh=False,
        )
        try:
            async with asyncio.timeout(20):
                return json.loads(await pool.submit(b'{"name": "blue"}', "test"))
        finally:
            await pool.close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


REQUIREMENTS = "--no-index\n--find-links ../wheels\n"
HANDLER = "def handler(event, context):\n    "


async def test_requirements_are_installed_once(bench: Bench) -> None:
    bench.wheel("gw_shade", "1.0")
    bench.write("code/main.py", f"import gw_shade\n{HANDLER}return [gw_shade.version, gw_shade.__file__]")
    bench.write("code/requirements.txt", f"{REQUIREMENTS}gw-shade # a colour\n")
    version, file = await bench.answer(bench.spec())
    assert version == "1.0"
    assert Path(file).is_relative_to(bench.cache)
    assert {path.name for path in (bench.root / "code").iterdir()} <= {"main.py", "requirements.txt", "__pycache__"}
    assert "Installing packages of Fn (" in bench.out.getvalue()
    # From now on nothing else is needed, and nothing is said.
    (bench.root / "wheels" / "gw_shade-1.0-py3-none-any.whl").unlink()
    bench.out.truncate(0)
    assert await bench.answer(bench.spec()) == [version, file]
    assert "Installing" not in bench.out.getvalue()


async def test_other_requirements_are_another_build(bench: Bench) -> None:
    bench.wheel("gw_shade", "1.0")
    bench.wheel("gw_shade", "2.0")
    bench.write("code/main.py", f"import gw_shade\n{HANDLER}return gw_shade.version")
    bench.write("code/requirements.txt", f"{REQUIREMENTS}-r more.txt\n")
    bench.write("code/more.txt", "gw-shade==1.0")
    assert await bench.answer(bench.spec()) == "1.0"
    bench.write("code/more.txt", "gw-shade==2.0")
    assert await bench.answer(bench.spec()) == "2.0"


async def test_two_gateways_build_the_same_at_once(bench: Bench) -> None:
    bench.wheel("gw_shade", "1.0")
    bench.write("code/main.py", "")
    bench.write("code/requirements.txt", f"{REQUIREMENTS}gw-shade\n")
    first, second = await asyncio.gather(bench.built(bench.spec()), bench.built(bench.spec()))
    assert first == second
    assert bench.out.getvalue().count("Installing packages of Fn") == 2
    assert [path.name for path in (bench.cache / "python").iterdir()] == [first.packages[0].name]


async def test_a_failed_installation_names_the_function_and_leaves_nothing(bench: Bench) -> None:
    bench.write("code/requirements.txt", f"{REQUIREMENTS}gw-nowhere\n")
    bench.wheel("gw_shade", "1.0")
    with pytest.raises(GatewayError, match=r"Fn: .*requirements.txt.* gw-nowhere") as failed:
        await bench.built(bench.spec())
    assert "\n" not in str(failed.value)
    assert list((bench.cache / "python").iterdir()) == []


async def test_packages_that_are_there_are_not_installed(bench: Bench) -> None:
    bench.write("code/requirements.txt", "boto3\npydantic>=1\n")
    assert (await bench.built(bench.spec())).packages == ()
    # Installed by hand into the function's own folder, as many do.
    bench.wheel("gw_shade", "1.0")
    zipfile.ZipFile(bench.root / "wheels" / "gw_shade-1.0-py3-none-any.whl").extractall(bench.root / "code")
    bench.write("code/requirements.txt", "gw_shade==1.0\n")
    assert (await bench.built(bench.spec())).packages == ()


def test_what_is_satisfied(tmp_path: Path) -> None:
    installed = metadata.version("pytest")
    # Of the extras' own requirements, one that is here and one that is not.
    information = tmp_path / "gw_shade-1.5.dist-info" / "METADATA"
    information.parent.mkdir()
    information.write_text(
        "Metadata-Version: 2.1\nName: gw-shade\nVersion: 1.5\nProvides-Extra: here\nProvides-Extra: away\n"
        "Requires-Dist: pytest; extra == 'here'\nRequires-Dist: gw-nowhere; extra == 'away'\n"
    )
    for line, expected in {
        f"pytest=={installed} --hash=sha256:00": True,
        "PyTest": True,
        "pytest<1": False,
        "gw-nowhere": False,
        "gw-nowhere; python_version < '3'": True,
        "./folder": False,
        "pytest @ https://example.com/x.whl": False,
        "--no-index": True,
        "gw_shade[here]>1": True,
        "gw_shade[away]": False,
    }.items():
        assert satisfied([line], [tmp_path]) is expected, line


def test_lines_of_requirements(tmp_path: Path) -> None:
    lines = ["# all", "a==1 \\", "  --hash=sha256:0", "-r sub/two.txt", "--requirement=sub/two.txt", "", "b"]
    (tmp_path / "one.txt").write_text("\n".join(lines))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "two.txt").write_text("c@git+https://example.com/#egg=c # here")
    two = "c@git+https://example.com/#egg=c"
    assert list(requirement_lines(tmp_path / "one.txt")) == ["a==1    --hash=sha256:0", two, two, "b"]


async def test_layers_of_python(bench: Bench) -> None:
    bench.wheel("gw_shade", "1.0")
    bench.write("code/main.py", f"import below, both, inner\n{HANDLER}return [below.x, both.x, inner.version]")
    bench.write("low/python/below.py", "x = 'low'")
    bench.write("low/python/both.py", "x = 'low'")
    bench.write("high/python/lib/python3.12/site-packages/both.py", "x = 'high'")
    bench.write("plain/requirements.txt", f"{REQUIREMENTS}gw-shade\n")
    bench.write("plain/inner/__init__.py", "from gw_shade import version as version")
    layers = tuple(bench.root / name for name in ("low", "high", "plain"))
    assert await bench.answer(bench.spec(layers=layers, runtime="python3.12")) == ["low", "high", "1.0"]


async def test_programs_of_layers_are_on_the_path(bench: Bench) -> None:
    bench.write("layer/bin/gw-hello", "#!/bin/sh\necho hello").chmod(0o755)
    bench.write("code/main.py", f"import subprocess\n{HANDLER}return subprocess.getoutput('gw-hello')")
    with zipfile.ZipFile(bench.root / "layer.zip", "w") as archive:
        archive.write(bench.root / "layer/bin/gw-hello", "bin/gw-hello")
    assert await bench.answer(bench.spec(layers=(bench.root / "layer.zip",))) == "hello"


@pytest.mark.parametrize("handler", ["app/main.handler", "app.main.handler"])
async def test_handlers_in_folders_and_code_in_a_zip_file(bench: Bench, handler: str) -> None:
    with zipfile.ZipFile(bench.root / "code.zip", "w") as archive:
        archive.writestr("app/__init__.py", "")
        archive.writestr("app/main.py", f"{HANDLER}return event['name']")
    assert await bench.answer(bench.spec(handler, "code.zip")) == "blue"


async def test_code_that_is_no_zip_file(bench: Bench) -> None:
    bench.write("code.zip", "nothing")
    with pytest.raises(GatewayError, match=r"Fn: .*zip"):
        await bench.built(bench.spec(code="code.zip"))


async def test_inline_code(bench: Bench) -> None:
    assert await bench.answer(bench.spec("index.handler", inline=f"{HANDLER}return event['name']")) == "blue"
    inline = "exports.handler = async (event) => event.name"
    assert await bench.answer(bench.spec("index.handler", inline=inline, runtime="nodejs22.x")) == "blue"


async def test_the_runtimes_version_is_noted_once(bench: Bench) -> None:
    bench.write("code/main.py", "")
    console = Console(bench.out, bench.out)
    specs = [bench.spec(runtime=runtime) for runtime in (runtimes.PYTHON, "python3.9", "python3.9")]
    await build(specs, {}, console, bench.cache)
    assert bench.out.getvalue().count("python3.9 (Fn)") == 1
    assert bench.out.getvalue().count("\n") == 1


# ---- other runtimes

LOOP = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
python3 - "$api" "$_HANDLER" "$LAMBDA_TASK_ROOT" <<'END'
import json, sys, urllib.request
api, *rest = sys.argv[1:]
while True:
    with urllib.request.urlopen(api + "/invocation/next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
    urllib.request.urlopen(api + f"/invocation/{request}/response", json.dumps(rest).encode()).close()
END
"""


async def test_a_runtime_of_its_own(bench: Bench) -> None:
    bench.write("code/bootstrap", LOOP).chmod(0o755)
    assert await bench.answer(bench.spec("some.handler", runtime="provided.al2023")) == [
        "some.handler",
        str(bench.root / "code"),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "java21"}, "runtime java21; --lambda-endpoint"),
        ({"runtime": "provided.al2023"}, "no file bootstrap"),
        ({"runtime": "provided.al2023", "code": "plain"}, "not executable"),
        ({"runtime": "provided.al2023", "code": "foreign"}, "is for another Linux"),
        ({"fault": "function from a container image"}, "container image"),
    ],
)
async def test_what_cannot_be_run_is_named(bench: Bench, changes: dict[str, Any], words: str) -> None:
    bench.write("plain/bootstrap", "#!/bin/sh")
    bench.write("foreign/bootstrap", "").write_bytes(b"\x7fELF" + bytes(14) + b"\xf3\0")
    (bench.root / "foreign" / "bootstrap").chmod(0o755)
    assert await build([bench.spec(**changes)], bench.unsupported, Console(bench.out), bench.cache) == []
    assert words in bench.unsupported["Fn"]


# ---- Makefiles

MAKEFILE = """
build-Fn:
\tcp -R src/. $(ARTIFACTS_DIR)
\t@touch here; echo made here
build-Tools:
\tmkdir -p $(ARTIFACTS_DIR)/python
\tcp tool.py $(ARTIFACTS_DIR)/python
"""


def makes(bench: Bench, name: str = "Fn", code: str = "code", **changes: Path) -> MakeSpec:
    return MakeSpec(name, bench.root / code, bench.root / code / "Makefile", **changes)


async def test_what_has_no_module_is_made_once_and_anew_when_its_source_changes(bench: Bench) -> None:
    bench.write("code/Makefile", MAKEFILE)
    source = bench.write("code/src/main.py", f"{HANDLER}return 'first'")
    spec = bench.spec(make=makes(bench))
    assert await bench.answer(spec) == "first"
    # In a copy, and with what make says shown.
    assert {path.name for path in (bench.root / "code").iterdir()} == {"Makefile", "src"}
    assert f"Making Fn ({bench.root}/code/Makefile) …" in bench.out.getvalue()
    assert "  made here\n" in bench.out.getvalue()
    bench.out.truncate(0)
    made = await bench.built(spec)
    assert bench.out.getvalue().count("Making") == 0
    # Changed code is made anew, where processes look for it; until it can be made, the last stays.
    assert watched(made) == [bench.root / "code"]
    console = Console(bench.out, bench.out)
    source.write_text(f"{HANDLER}return 'the second'")
    await rebuild([made], console, bench.cache)
    assert "the second" in (made.code / "main.py").read_text()
    bench.write("code/Makefile", "build-Fn:\n\t@echo no compiler of it; exit 3\n")
    await rebuild([made], console, bench.cache)
    assert "no compiler of it" in bench.out.getvalue()
    assert "the second" in (made.code / "main.py").read_text()
    assert [path.name for path in (bench.cache / "make").iterdir()] == [made.code.parent.name]


@pytest.mark.parametrize(
    ("runtime", "handler", "file"),
    [
        ("python3.13", "main.handler", "main.py"),
        ("python3.13", "app.main.handler", "app/main.py"),
        ("python3.13", "app.handler", "app/__init__.py"),
        ("nodejs22.x", "dist/app.handler", "dist/app.mjs"),
        ("provided.al2023", "any", "bootstrap"),
        ("java21", "any", "any"),
    ],
)
async def test_what_can_run_from_its_source_is_not_made(bench: Bench, runtime: str, handler: str, file: str) -> None:
    bench.write(f"code/{file}", "").chmod(0o755)
    bench.write("code/Makefile", "build-Fn:\n\texit 1\n")
    made = await build([bench.spec(handler, runtime=runtime, make=makes(bench))], {}, Console(bench.out), bench.cache)
    assert "Making" not in bench.out.getvalue()
    assert all((spec.code, spec.make) == (bench.root / "code", None) for spec in made)


async def test_what_imports_what_only_its_makefile_brings_is_made(bench: Bench) -> None:
    bench.write("shared/words.py", "word = 'common'")
    bench.write("code/app/__init__.py", "")
    bench.write("code/app/main.py", f"from app import part\n{HANDLER}return part.words.word")
    bench.write("code/app/part.py", "import json, os.path as path\nimport words as words")
    bench.write("code/Makefile", f"build-Fn:\n\tcp -R app {bench.root}/shared/words.py $(ARTIFACTS_DIR)\n")
    spec = bench.spec("app.main.handler", make=makes(bench))
    assert await bench.answer(spec) == "common"
    (bench.root / "code" / "Makefile").unlink()
    assert (await bench.built(spec)).code == bench.root / "code"


def test_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "layered.py").write_text("import gw_nowhere")
    (tmp_path / "own" / "__init__.py").write_text("")
    (tmp_path / "own" / "deep.py").write_text("import gw_nowhere")
    for text, expected in {
        "import gw_nowhere": "gw_nowhere",
        "import os, gw_nowhere.sub as x  # why": "gw_nowhere",
        "from gw_nowhere import x": "gw_nowhere",
        "from gw_nowhere import (\n    x,\n)": "gw_nowhere",
        "from own import deep": "gw_nowhere",
        "from . import gw_nowhere": "",
        "import boto3, json\nfrom os import path": "",
        "import layered": "",
        "try:\n    import gw_nowhere\nexcept ImportError: pass": "",
        '"""\nimport gw_nowhere\n"""': "",
        "def handler():\n    import gw_nowhere": "",
        "import gw_nowhere\n(": "",
    }.items():
        (tmp_path / "main.py").write_text(text)
        assert missing("main", tmp_path, [tmp_path / "other"]) == expected, text


async def test_a_runtime_of_its_own_that_is_made(bench: Bench) -> None:
    bench.write("code/loop", LOOP)
    bench.write(
        "code/Makefile", "build-Fn:\n\tcp loop $(ARTIFACTS_DIR)/bootstrap\n\tchmod +x $(ARTIFACTS_DIR)/bootstrap\n"
    )
    handler, folder = await bench.answer(bench.spec("some.handler", runtime="provided.al2023", make=makes(bench)))
    assert handler == "some.handler"
    assert Path(folder).is_relative_to(bench.cache)


async def test_layers_that_are_made(bench: Bench) -> None:
    bench.write("code/main.py", f"import tool\n{HANDLER}return tool.name")
    bench.write("layer/Makefile", MAKEFILE)
    tool = bench.write("layer/tool.py", "name = 'hammer'")
    layer = bench.root / "layer"
    spec = bench.spec(layers=(layer,), layer_makes={layer: makes(bench, "Tools", "layer")})
    assert await bench.answer(spec) == "hammer"
    made = await bench.built(spec)
    assert watched(made) == [bench.root / "code", layer]
    tool.write_text("name = 'pliers'")
    await rebuild([made], Console(bench.out), bench.cache)
    assert "pliers" in (made.layers[0] / "python" / "tool.py").read_text()
    # What `sam build` made has no Makefile any more.
    (layer / "Makefile").unlink()
    assert (await bench.built(spec)).layers == (layer,)


async def test_where_a_makefile_runs(bench: Bench) -> None:
    bench.write("project/make/Makefile", "build-Fn:\n\tpwd > $(ARTIFACTS_DIR)/pwd\n\ttouch $(ARTIFACTS_DIR)/main.py\n")
    bench.write("project/.git/config", "")
    for working, expected in (("project/make", bench.cache), ("elsewhere", bench.root / "elsewhere")):
        bench.write(f"{working}/here", "")
        make = MakeSpec("Fn", bench.root / "project", bench.root / "project/make/Makefile", bench.root / working)
        found = Path((await bench.built(bench.spec(make=make))).code.joinpath("pwd").read_text().strip())
        assert found.is_relative_to(expected)


async def test_a_makefile_that_fails_or_is_missing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = bench.spec(make=makes(bench))
    with pytest.raises(GatewayError, match=r"Fn: its BuildMethod is makefile, and there is no .*code/Makefile"):
        await bench.built(spec)
    bench.write("code/Makefile", "build-Fn:\n\t@echo first; echo last; exit 3\n")
    monkeypatch.setenv("MAKELEVEL", "1")  # it is not that of the make that runs the tests
    monkeypatch.setenv("MAKEFLAGS", "n")
    with pytest.raises(
        GatewayError, match=r"(?s)Fn: make --makefile \S+ build-Fn has failed:\n  first\n  last\n  make: .*3"
    ):
        await bench.built(spec)
    assert list((bench.cache / "make").iterdir()) == []
    monkeypatch.setenv("PATH", str(bench.root))
    with pytest.raises(GatewayError, match="no make on the PATH"):
        await bench.built(spec)


# ---- Node's packages


def tarball(bench: Bench, name: str, text: str) -> str:
    """Return what a package.json says for a package that npm finds without any network."""
    path = bench.root / f"{name}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for file, content in (("package.json", json.dumps({"name": name, "version": "1.0.0"})), ("index.js", text)):
            entry = tarfile.TarInfo(f"package/{file}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return f"file:{path}"


async def test_packages_of_node_that_are_folders(bench: Bench) -> None:
    bench.write("code/package.json", '{"dependencies": {"gw-shade": "file:../shade"}}')
    bench.write("shade/package.json", '{"name": "gw-shade", "version": "1.0.0"}')
    bench.write("code/main.js", "exports.handler = async () => require('gw-shade').shade")
    for shade in ("dark", "bright"):
        # Never a copy: what is written there counts at the next start.
        bench.write("shade/index.js", f"exports.shade = '{shade}'")
        assert await bench.answer(bench.spec(runtime="nodejs22.x")) == shade
    assert bench.out.getvalue().count("Installing packages of Fn") == 1


@pytest.mark.parametrize("ending", ["mjs", "cjs"])
async def test_packages_of_node(bench: Bench, ending: str) -> None:
    wanted = {"dependencies": {"gw-shade": tarball(bench, "gw-shade", "exports.shade = 'dark'")}}
    bench.write("code/package.json", json.dumps(wanted))
    bench.write("code/main.mjs", "import { shade } from 'gw-shade'\nexport const handler = async () => shade")
    bench.write("code/main.cjs", "exports.handler = async () => require('gw-shade').shade")
    (bench.root / "code" / f"main.{'cjs' if ending == 'mjs' else 'mjs'}").unlink()
    assert await bench.answer(bench.spec(runtime="nodejs22.x")) == "dark"
    assert not (bench.root / "code" / "node_modules").exists()
    assert "Installing packages of Fn" in bench.out.getvalue()
    # A second start needs neither the tarball nor npm.
    (bench.root / "gw-shade.tgz").unlink()
    assert await bench.answer(bench.spec(runtime="nodejs22.x")) == "dark"


# An esbuild that does not read TypeScript: it writes down what it was asked for.
ESBUILD = """#!/usr/bin/env node
const fs = require("fs"), path = require("path")
const [source, ...options] = process.argv.slice(2)
const text = fs.readFileSync(source, "utf8")
if (text.includes("@@")) { console.log("✘ [ERROR] Unexpected @"); process.exit(1) }
const out = options.find((option) => option.startsWith("--outfile=")).slice(10)
fs.mkdirSync(path.dirname(out), { recursive: true })
fs.writeFileSync(out, `exports.handler = async () => [${JSON.stringify(text)}, ${JSON.stringify(options)}]`)
"""


@pytest.fixture
def bundling(bench: Bench) -> Bench:
    bench.write("node_modules/.bin/esbuild", ESBUILD).chmod(0o755)
    return bench


async def test_typescript_is_bundled(bundling: Bench) -> None:
    source = bundling.write("code/src/main.ts", "one")
    spec = bundling.spec("src/main.handler", runtime="nodejs20.x")
    text, options = await bundling.answer(spec)
    assert text == "one"
    assert {"--bundle", "--platform=node", "--target=node20", "--format=cjs", "--external:@aws-sdk/*"} <= set(options)
    # Changed code is bundled anew, where processes look for it; what is wrong with it is told.
    made = await bundling.built(spec)
    assert (made.source, made.code.is_relative_to(bundling.cache)) == (bundling.root / "code", True)
    console = Console(bundling.out, bundling.out)
    source.write_text("two")
    await rebuild([made], console, bundling.cache)
    assert "two" in (made.code / "src" / "main.js").read_text()
    source.write_text("@@")
    await rebuild([made], console, bundling.cache)
    assert "main.ts cannot be bundled: ✘ [ERROR] Unexpected @" in bundling.out.getvalue()
    with pytest.raises(GatewayError, match="cannot be bundled"):
        await bundling.built(spec)


async def test_typescript_as_the_template_says(bundling: Bench) -> None:
    bundling.write("code/src/deep/entry.ts", "entry")
    properties = {
        "EntryPoints": ["src/deep/entry.ts"],
        "Target": "es2022",
        "External": ["sharp"],
        "Loader": [".html=text"],
        "Define": {"A": "1"},
        "MainFields": "module,main",
    }
    build = {"BuildMethod": "esbuild", "BuildProperties": properties}
    text, options = await bundling.answer(bundling.spec("entry.handler", runtime="nodejs22.x", build=build))
    assert text == "entry"
    asked = {"--target=es2022", "--external:sharp", "--loader:.html=text", "--define:A=1", "--main-fields=module,main"}
    assert asked <= set(options)


async def test_a_module_that_is_there_is_not_bundled(bundling: Bench) -> None:
    bundling.write("code/main.ts", "@@")
    bundling.write("code/main.js", "exports.handler = async () => 1")
    assert await bundling.answer(bundling.spec(runtime="nodejs22.x")) == 1


async def test_packages_that_node_cannot_install(bench: Bench) -> None:
    bench.write("code/package.json", json.dumps({"dependencies": {"gw-shade": f"file:{bench.root}/nowhere.tgz"}}))
    bench.write("code/main.js", "")
    with pytest.raises(GatewayError, match=r"Fn: the packages of .*package.json cannot be installed: .*nowhere"):
        await bench.built(bench.spec(runtime="nodejs22.x"))
    bench.write("code/package.json", "{")
    with pytest.raises(GatewayError, match=r"Fn: .*package.json cannot be read"):
        await bench.built(bench.spec(runtime="nodejs22.x"))


async def test_layers_of_node(bench: Bench) -> None:
    bench.write("layer/nodejs/node_modules/gw-shade/index.js", "exports.shade = 'layered'")
    bench.write("layer/nodejs/node_modules/@aws-sdk/client-sns/index.js", "exports.SNS = class SNS {}")
    bench.write("code/node_modules/@aws-sdk/client-sqs/package.json", '{"main": "x.js"}')
    bench.write("code/node_modules/@aws-sdk/client-sqs/x.js", "exports.SQS = class SQS {}")
    bench.write(
        "code/main.mjs",
        "import { shade } from 'gw-shade'\nimport { SNS } from '@aws-sdk/client-sns'\n"
        "import { SQS } from '@aws-sdk/client-sqs'\nexport const handler = async () => [shade, SNS.name, SQS.name]",
    )
    spec = bench.spec(runtime="nodejs22.x", layers=(bench.root / "layer",))
    assert await bench.answer(spec) == ["layered", "SNS", "SQS"]
    assert not bench.cache.exists()


async def test_the_sdk_is_installed_where_code_names_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An npm that says what it was asked for.
    asked = tmp_path / "asked.json"
    program = bench.write("bin/npm", f"#!/bin/sh\ncp package.json {asked}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    bench.write("code/main.mjs", 'import { DynamoDBClient } from "@aws-sdk/client-dynamodb"')
    bench.write("code/lib/send.js", "const x = require('@aws-sdk/client-sqs/dist-cjs'), y = require('@smithy/types')")
    bench.write("code/node_modules/@smithy/types/index.js", "require('@aws-sdk/not-asked-for')")
    made = await bench.built(bench.spec(runtime="nodejs22.x"))
    assert json.loads(asked.read_text())["dependencies"] == {
        "@aws-sdk/client-dynamodb": "^3",
        "@aws-sdk/client-sqs": "^3",
    }
    assert made.packages[0].is_relative_to(bench.cache)


@pytest.mark.parametrize(("runtime", "part"), [("nodejs16.x", True), ("nodejs12.x", True), ("nodejs18.x", False)])
async def test_older_runtimes_have_the_older_sdk(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, part: bool
) -> None:
    asked = tmp_path / "asked.json"
    program = bench.write("bin/npm", f"#!/bin/sh\ncp package.json {asked}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    bench.write("code/main.js", "const S3 = require('aws-sdk/clients/s3')")
    await bench.built(bench.spec(runtime=runtime))
    assert asked.exists() is part
    assert not part or json.loads(asked.read_text())["dependencies"] == {"aws-sdk": "^2"}


async def test_a_gateway_that_stops_while_it_installs_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = bench.write("bin/npm", "#!/bin/sh\necho added to wait\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    bench.write("code/package.json", '{"dependencies": {"gw-shade": "1"}}')
    begun = asyncio.Event()
    bench.out.write = lambda text: begun.set() if "added to wait" in text else None  # type: ignore[method-assign,assignment,return-value]
    bench.write("code/main.js", "")
    task = asyncio.create_task(bench.built(bench.spec(runtime="nodejs22.x")))
    async with asyncio.timeout(20):
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert list((bench.cache / "node").iterdir()) == []
