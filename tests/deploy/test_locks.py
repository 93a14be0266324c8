"""The lock files: versions of what pyproject.toml asks for, and hashes of what images install."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# pip installs these on a developer's machine, whose configuration may name another build of torch.
EXTRAS_OF = {
    "demo": ["demo"],
    "dev": ["train", "sql", "bench", "trace", "sign", "object-store", "nats", "docs", "dev"],
}
HASHED = ["service", "service-trace", "training", "torch", "smollm2", "sbom", "docs"]
DOCKERFILES = ["service", "training", "teacher", "redis"]


def text(name: str) -> str:
    return (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")


def entries(name: str) -> list[str]:
    """Returns the logical lines of a lock, without comments."""
    lines = text(name).replace("\\\n", " ").splitlines()
    return [line for line in lines if not line.startswith("#")]


def pins(name: str) -> dict[str, Requirement]:
    requirements = [Requirement(line.partition(" --hash")[0]) for line in entries(name)]
    return {canonicalize_name(each.name): each for each in requirements}


def requirements(*arguments: str) -> list[Requirement]:
    """Returns what pyproject.toml asks for, as `make lock` reads it."""
    command: list[str | Path] = [sys.executable, ROOT / "docker/requirements.py", *arguments]
    pyproject = (ROOT / "pyproject.toml").read_bytes()
    done = subprocess.run(command, input=pyproject, capture_output=True, check=True)
    return [Requirement(line) for line in done.stdout.decode().splitlines()]


def check(needed: list[Requirement], locked: dict[str, Requirement]) -> None:
    for each in needed:
        (pin,) = locked[canonicalize_name(each.name)].specifier
        assert pin.operator == "=="
        assert each.specifier.contains(pin.version, prereleases=True), each


@pytest.mark.parametrize("name", list(EXTRAS_OF))
def test_every_dependency_is_locked_at_a_version_that_pyproject_allows(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"]]
    for extra in EXTRAS_OF[name]:
        lines += project["optional-dependencies"][extra]
    needed = [Requirement(line) for line in lines if not line.startswith(project["name"])]

    assert len(needed) > 10
    check(needed, pins(name))


def test_the_locks_of_the_images_have_what_each_installs() -> None:
    service = [each for each in requirements("sign", "object-store") if each.name != "cyclopts"]
    traced = [
        each for each in requirements("sign", "object-store", "trace") if each.name != "cyclopts"
    ]

    assert len(service) > 10
    check(service, pins("service"))
    check(traced, pins("service-trace"))
    check(requirements("train", "object-store", "nats", "sql"), pins("training") | pins("torch"))


def test_the_lock_of_the_site_has_what_its_extra_asks_for_and_nothing_of_the_service() -> None:
    needed = requirements("docs", "--extras-only")

    assert len(needed) == 4
    check(needed, pins("docs"))
    assert not pins("docs").keys() & {"fastapi", "onnxruntime", "numpy"}


def test_the_service_image_gets_no_library_of_the_command_line() -> None:
    assert "cyclopts" not in pins("service").keys() | pins("service-trace").keys()


def test_what_torch_needs_for_cuda_alone_is_left_out_by_another_lock_of_torch() -> None:
    assert pins("torch").keys() >= {"torch", "triton", "nvidia-cublas", "cuda-toolkit"}
    assert not re.search(r"^(torch|triton|nvidia-|cuda-)", text("training"), re.M)


@pytest.mark.parametrize("name", HASHED)
def test_every_package_of_an_image_has_the_hashes_of_its_files(name: str) -> None:
    assert entries(name)
    for entry in entries(name):
        assert re.fullmatch(r"[\w.-]+==[^+\s]+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+ *", entry)


@pytest.mark.parametrize(
    "name", ["onnxruntime", "numpy", "orjson", "hiredis", "cryptography", "cffi"]
)
def test_a_compiled_package_has_a_hash_for_each_platform(name: str) -> None:
    (entry,) = (each for each in entries("service") if each.startswith(f"{name}=="))
    assert entry.count("--hash") > 5


@pytest.mark.parametrize("name", DOCKERFILES)
def test_images_install_wheels_by_hash_and_nothing_else(name: str) -> None:
    dockerfile = (ROOT / f"docker/{name}.Dockerfile").read_text(encoding="utf-8")
    commands = re.findall(r"python -m pip .*?install(.*?)(?:&&|\n\n|\nCOPY)", dockerfile, re.S)
    assert commands
    for each in commands:
        assert "--require-hashes --no-deps --only-binary :all:" in each
        assert each.count("--requirement ") == 1


@pytest.mark.parametrize("name", list(EXTRAS_OF))
def test_locks_of_machines_name_no_host_no_hash_and_no_build_of_one_platform(name: str) -> None:
    assert "://" not in text(name)
    assert "--" not in text(name)
    assert not re.search(r"==[^ ;]*\+", text(name))


@pytest.mark.parametrize("name", ["demo", "service", "service-trace", "training", "torch", "docs"])
def test_all_environments_have_the_same_versions(name: str) -> None:
    dev = {name: str(pin.specifier) for name, pin in pins("dev").items()}

    for package, pin in pins(name).items():
        assert dev[package] == str(pin.specifier), package


def test_the_maker_of_lists_of_components_has_the_same_versions_of_what_it_shares() -> None:
    dev, sbom = pins("dev"), pins("sbom")
    shared = dev.keys() & sbom.keys()

    assert len(shared) > 10
    assert [name for name in shared if dev[name].specifier != sbom[name].specifier] == []


def test_an_audit_checks_every_lock_that_an_image_installs() -> None:
    images = "".join(each.read_text("utf-8") for each in (ROOT / "docker").glob("*.Dockerfile"))
    installed = set(re.findall(r"locks/[a-z0-9-]+\.txt", images))
    (checked,) = re.findall(r"pip-audit (locks/.*)", (ROOT / "Makefile").read_text("utf-8"))
    # The lock with traces has all that the one without has; that for CPUs is made on demand.
    assert installed - set(checked.split()) == {"locks/service.txt", "locks/torch-cpu.txt"}
