"""A real SLURM on this machine, and a user of it who copied the shipped files."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from hea_flows.services import mongod
from hea_flows.services.connection import Connection, find_connection
from hea_flows.services.mongod import LocalMongod

CONFIGS = Path(__file__).parents[2] / "configs" / "clusters"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "unshare")
NODES = ("c1", "c2")
_CONF = """\
ClusterName=heatest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,requeue_setup_env_fail
JobRequeue=1
ReturnToService=2
KillWait=2
SlurmdTimeout=10
MinJobAge=300
MessageTimeout=10
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
{nodes}PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


_NODE = (
    "NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={port} "
    "CPUs=2 RealMemory=2000 State=UNKNOWN\n"
)
#: What makes the processes of a node ones of another host, which die with it.
_HOST = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


def why_not() -> str:
    """Return why no SLURM can be started here, or an empty string."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "starting slurmd needs root"
    if "munge" not in {user.pw_name for user in pwd.getpwall()}:
        return "there is no user munge"
    if subprocess.run([*_HOST, "true"], capture_output=True, check=False).returncode:
        return f"nodes need namespaces of their own: `{' '.join(_HOST)}` fails"
    return ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@dataclass
class Slurm:
    """A running SLURM; each node is a host of its own name and processes, as on a cluster."""

    folder: Path
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        return {**os.environ, "SLURM_CONF": str(self.conf), "PATH": path}

    def start(self) -> None:
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        self._start_munged()
        controller, *ports = _free_ports(1 + len(NODES))
        lines = [
            _NODE.format(name=name, port=port) for name, port in zip(NODES, ports, strict=True)
        ]
        values = {"host": socket.gethostname(), "port": controller, "nodes": "".join(lines)}
        self.conf.write_text(_CONF.format(folder=self.folder, **values))
        self._daemon(["slurmctld", "-i", "-f", str(self.conf)])
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: set(self.node_states().values()) == {"IDLE"}, 60, "idle nodes")

    def stop(self) -> None:
        """End every process that was started, jobs included."""
        for node in list(self.nodes):
            self.end_node(node)
        for name in ("slurmctld.pid", "munge/pid"):
            _end(self.folder / name)

    def start_node(self, node: str) -> None:
        (self.folder / f"spool-{node}").mkdir(exist_ok=True)
        script = f"hostname {node}; slurmd -D -N {node} -f {self.conf} & wait; exec sleep infinity"
        with (self.folder / f"{node}.log").open("ab") as log:
            self.nodes[node] = subprocess.Popen(
                [*_HOST, "sh", "-c", script],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end_node(self, node: str) -> None:
        """Switch a node off: every process on it is gone at once."""
        unshare = self.nodes.pop(node)
        unshare.kill()
        unshare.wait()

    def end_daemon(self, node: str) -> None:
        """Kill the SLURM daemon of a node; the jobs' processes stay."""
        for process in psutil.Process(self.nodes[node].pid).children(recursive=True):
            if process.name() == "slurmd":
                process.kill()

    def restore(self) -> None:
        """Cancel what is left and let every node be there and idle again."""
        self.command("scancel", "--user", str(os.getuid()))
        for node, state in self.node_states().items():
            if state.startswith("DOWN") or node not in self.nodes:
                if node in self.nodes:
                    self.end_node(node)
                self.start_node(node)
            elif state.startswith("DRAIN"):
                self.command("scontrol", "update", f"NodeName={node}", "State=resume")
        self.wait(lambda: set(self.node_states().values()) == {"IDLE"}, 60, "idle nodes")

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            arguments,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def node_states(self) -> dict[str, str]:
        lines = self.command("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
        return {name: state.upper() for name, state in (line.split() for line in lines)}

    def jobs(self) -> dict[str, str]:
        """Return the states of all jobs by their numbers."""
        return self.listed("%T")

    def listed(self, column: str) -> dict[str, str]:
        """Return a column of squeue for all jobs, ended ones too, by their numbers."""
        lines = self.command("squeue", "-h", "--states=all", "-o", f"%A {column}").splitlines()
        return dict(line.split() for line in lines)

    def wait(self, what: Callable[[], object], seconds: float, name: str) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"no {name} in {seconds} s\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n----\n".join(p.read_text()[-3000:] for p in sorted(self.folder.glob("*.log")))

    def _start_munged(self) -> None:
        munge = self.folder / "munge"
        munge.mkdir()
        key = munge / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        user = pwd.getpwnam("munge")
        for path in (munge, key):
            os.chown(path, user.pw_uid, user.pw_gid)
        options = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid"}
        options |= {"log-file": munge / "log", "seed-file": munge / "seed"}
        command = ["munged", *(f"--{name}={path}" for name, path in options.items())]
        self._daemon(command, user="munge", group="munge", extra_groups=[])

    def _daemon(self, command: list[str], **options: Any) -> None:
        """Start a program that goes into the background by itself."""
        with (self.folder / "daemons.log").open("ab") as log:
            done = subprocess.run(
                [str(_program(command[0])), *command[1:]],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                timeout=60,
                **options,
            )
        assert done.returncode == 0, f"{command} failed\n{self.logs()}"


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """Run a SLURM of our own."""
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short, for sockets; others can look inside
    running = Slurm(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture
def user_files(connection: Connection, mongo: LocalMongod) -> Connection:
    """Copy the shipped files to where they belong and fill in the placeholders."""
    home = Path(os.environ["HOME"])
    (home / ".fireworks").mkdir(mode=0o700)
    values = {
        "mongodb.example.org": "127.0.0.1",
        "port: 27017": f"port: {mongo.port}",
        "authsource: hea_flows": "authsource: admin",
        "auth_source: hea_flows": "auth_source: admin",
        ": hea_flows\n": f": {connection.database_name}\n",
        "USERNAME": mongod.USER,
        "PASSWORD": str(mongo.password),
        "QUEUE_UPDATE_INTERVAL: 5": "QUEUE_UPDATE_INTERVAL: 1",
    }
    for path in CONFIGS.iterdir():
        text = path.read_text()
        for ours, theirs in values.items():
            text = text.replace(ours, theirs)
        name = ".jobflow.yaml" if path.name == "jobflow.yaml" else f".fireworks/{path.name}"
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    found = find_connection()
    assert found.source == "jobflow.yaml + my_launchpad.yaml"
    assert found.database_name == connection.database_name
    return found


def _end(pid_file: Path) -> None:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            time.sleep(0.05)
            os.kill(pid, 0)
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
