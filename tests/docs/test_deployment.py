"""docs/deployment.md: its snippets are read as their programs would, and checked as far as they
can be without these."""

import configparser
import inspect
import json
import os
import re
import shlex
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from process_kit import open_process
from program_kit import EXAMPLES, REPOSITORY, run_program

from trio_agent import (
    Agent,
    MemoryStore,
    Retention,
    RunFailed,
    SQLiteStore,
    open_runtime,
)
from trio_agent.servers import serve_http
from trio_agent.servers.cli._main import _parser
from trio_agent.testing import ScriptedModel
from trio_agent.testing.openai import finish, open_scripted_openai, text

HERE = EXAMPLES / "deployment"
PAGE = (REPOSITORY / "docs" / "deployment.md").read_text()
KEEP_ALIVE = inspect.signature(serve_http).parameters["keep_alive"].default
AGENTS = """
from trio_agent import Agent

agents = [Agent(name="one", model="m")]
"""


def environment_file() -> dict[str, str]:
    lines = [line.partition("=") for line in (HERE / "environment").read_text().splitlines()]
    return {name: " ".join(shlex.split(value)) for name, _, value in lines}


def options(command: list[str], environment: dict[str, str], monkeypatch: Any) -> Any:
    """What the command would do: it has to be one that the parser takes."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return _parser().parse_args(command)


class TestSystemd:
    unit = configparser.RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(HERE / "trio-agent.service")

    def test_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        program, *command = shlex.split(self.unit["Service"]["ExecStart"])
        assert program.endswith("/bin/trio-agent")
        made = options(command, environment_file(), monkeypatch)
        assert made.allow_host == ["agents.example.com"]
        assert made.store.startswith(f"sqlite:/var/lib/{self.unit['Service']['StateDirectory']}/")
        assert made.ws_port == 8001
        # What comes behind the grace, as the page says.
        assert int(self.unit["Service"]["TimeoutStopSec"]) >= made.grace + 15 + 1

    def test_settings(self) -> None:
        assert set(self.unit) == {"DEFAULT", "Unit", "Service", "Install"}
        assert self.unit["Service"]["KillMode"] == "mixed"
        assert self.unit["Service"]["EnvironmentFile"] == "/etc/trio-agent/environment"
        assert "/etc/trio-agent/environment" in PAGE


class TestContainer:
    lines = (HERE / "Containerfile").read_text().splitlines()

    def test_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = dict(line[4:].split("=") for line in self.lines if line.startswith("ENV "))
        [command] = [line.removeprefix("CMD ") for line in self.lines if line.startswith("CMD ")]
        program, *arguments = json.loads(command)
        assert program == "trio-agent"
        made = options(arguments, settings, monkeypatch)
        assert (made.host, made.port, made.agent) == ("0.0.0.0", 8000, ["my_agents:agents"])
        assert made.grace + 15 < 40
        assert "--stop-timeout 40" in PAGE

    async def test_health_check_and_tokens(self, tmp_path: Path) -> None:
        (tmp_path / "my_agents.py").write_text(AGENTS)
        settings = dict(line[4:].split("=") for line in self.lines if line.startswith("ENV "))
        [check] = [line.partition("CMD ")[2] for line in self.lines if "HEALTHCHECK" in line]
        key = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
        async with open_process("serve", cwd=tmp_path, **settings, **key) as process:
            assert await process.process.wait() == 2
            await process.until(b"without tokens only loopback addresses", process.stderr)
        tokens = {"TRIO_AGENT_TOKENS": environment_file()["TRIO_AGENT_TOKENS"]}
        async with open_process(
            "serve", "--port", "0", cwd=tmp_path, **settings, **key, **tokens
        ) as process:
            port = (await process.url()).rpartition(":")[2]
            program, *arguments = json.loads(check.replace("8000", port))
            assert program == "python"
            await trio.run_process([sys.executable, *arguments])
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", trust_env=False
            ) as client:
                by_address = await client.get("/health/live", headers={"Host": f"10.0.0.7:{port}"})
                assert by_address.status_code == 200


def test_probes() -> None:
    yaml = pytest.importorskip("yaml", reason="THE PROBES ARE NOT READ: pip install pyyaml")
    pod = yaml.safe_load((HERE / "probes.yaml").read_text())
    [container] = pod["containers"]
    for probe, path in (("livenessProbe", "/health/live"), ("readinessProbe", "/health/ready")):
        assert container[probe]["httpGet"] == {
            "path": path,
            "port": 8000,
        }
    assert f"terminationGracePeriodSeconds: {pod['terminationGracePeriodSeconds']}" in PAGE


class TestNginx:
    text = (HERE / "nginx.conf").read_text()

    def test_what_a_proxy_has_to_do(self) -> None:
        directives = re.findall(r"^\s+(\w+) ([^;{]*);", self.text, re.MULTILINE)
        assert ("proxy_buffering", "off") in directives
        assert ("proxy_http_version", "1.1") in directives
        assert directives.count(("proxy_set_header", "Host $http_host")) == 2
        assert int(dict(directives)["proxy_read_timeout"].removesuffix("s")) > 15
        assert int(dict(directives)["keepalive_timeout"].removesuffix("s")) < KEEP_ALIVE
        assert "$request " not in self.text
        assert "$args" not in self.text
        assert self.text.count("{") == self.text.count("}")

    @pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx to ask")
    async def test_nginx_takes_it(self, tmp_path: Path) -> None:
        trustme = pytest.importorskip("trustme")
        certificate = trustme.CA().issue_cert("agents.example.com")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        snippet = re.sub(r"/etc/ssl/\S+(?=;)", str(tmp_path / "both.pem"), self.text)
        snippet = snippet.replace("/var/log/nginx", str(tmp_path))
        main = tmp_path / "nginx.conf"
        main.write_text(
            f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{snippet}\n}}\n"
        )
        done = await trio.run_process(
            ["nginx", "-t", "-q", "-c", str(main)], capture_stderr=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


class TestCaddy:
    text = (HERE / "Caddyfile").read_text()

    def test_what_a_proxy_has_to_do(self) -> None:
        assert "flush_interval -1" in self.text
        keepalive = re.search(r"keepalive (\d+)s", self.text)
        assert keepalive is not None
        assert int(keepalive[1]) < KEEP_ALIVE
        assert self.text.count("{") == self.text.count("}")

    @pytest.mark.skipif(shutil.which("caddy") is None, reason="there is no caddy to ask")
    async def test_caddy_takes_it(self, tmp_path: Path) -> None:
        done = await trio.run_process(
            ["caddy", "adapt", "--config", str(HERE / "Caddyfile"), "--adapter", "caddyfile"],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


async def test_backup(tmp_path: Path) -> None:
    """A store is copied while its server works with it, and the copy is a store."""
    (tmp_path / "my_agents.py").write_text(AGENTS)
    async with open_scripted_openai([[text("Hello."), finish()]]) as provider:
        env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.base_url}
        options = ("--port", "0", "--agent", "my_agents:agents", "--store", "sqlite:runs.db")
        async with open_process("serve", *options, cwd=tmp_path, **env) as server:
            url = await server.url()
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                started = await client.post("/runs", json={"prompt": "Hi"})
                await client.get(started.json()["events"])
            output = await run_program(HERE / "backup.py", [], tmp_path, "runs.db", "copy.db")
    assert output == ""
    assert "deployment/backup"
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    command = ("show", started.json()["id"], "--store", "sqlite:copy.db")
    async with open_process(*command, cwd=tmp_path) as process:
        assert await process.process.wait() == 0
        await process.finished()
    assert b"Hello.\n" in process.stdout


async def test_restored_run_that_was_active(tmp_path: Path) -> None:
    model = ScriptedModel(["Hel", trio.Event()])
    async with open_runtime(store=SQLiteStore(tmp_path / "runs.db")) as runtime:
        run = await runtime.start(Agent(model=model), "Hi")
        async with run.subscribe() as events:
            while (await events.receive()).__struct_config__.tag != "text-delta":
                pass
        await run_program(HERE / "backup.py", [], tmp_path, "runs.db", "copy.db")
        await run.cancel()
    async with open_runtime(store=SQLiteStore(tmp_path / "copy.db")) as runtime:
        with pytest.raises(RunFailed) as failure:
            await (await runtime.find(run.id)).wait()
    assert failure.value.code == "worker-lost"


async def test_sizes(tmp_path: Path) -> None:
    """The page's figures are right to within a fifth."""
    answer = ["tokens "] * 2000
    async with open_runtime(store=MemoryStore()) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(answer)), "Hi")
        await run.wait()
        size = (await runtime.store.info(run.id)).size
    [kilobytes] = re.findall(r"which is what the limits count \| (\d+) kB", PAGE)
    assert 0.8 < size / (1000 * int(kilobytes)) < 1.2
    kept = Retention()
    assert (kept.seconds, kept.max_runs, kept.max_bytes) == (300, 10_000, 1 << 30)
    words = " ".join(PAGE.split())
    assert "for 300 seconds, at most 10 000 of them and 1 GiB of logs" in words
