"""Everything encrypted: TLS with certificates on both sides, encrypted gossip, and ACLs under default deny."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kit.clouds.plan import WholePlan
from kit.clouds.whole import WholeCloud
from nova_ha.sandbox.certificates import Authority, Certificate
from nova_ha.sandbox.consul import Datacenter
from nova_ha.sandbox.network import Network

COMMANDS = (
    ("nova-ha-handle-failures",),
    ("nova-ha-handle-recovery",),
    ("nova-ha-check-cluster",),
    ("nova-ha", "status"),
    ("nova-ha", "pause"),
)


class SecuredCloud(WholeCloud):
    """A cloud whose Consul speaks to nobody without a certificate; the operators have one of their own."""

    def new_consul(self, network: Network) -> Datacenter:
        consul = Datacenter(self.directory, network, servers=self.plan.consul_servers, acl=True, tls=True)
        assert consul.authority is not None
        self.authority = consul.authority
        self.operator = self.authority.operator()
        return consul

    @property
    def access(self) -> dict[str, str]:
        return {**super().access, **self.operator.access}


@pytest.fixture(scope="module")
def cloud() -> Iterator[SecuredCloud]:
    with SecuredCloud(WholePlan(compute=2, observers=3)) as running:
        yield running


def expired(authority: Authority, directory: Path) -> Certificate:
    """Return a client certificate of this CA that was good until yesterday; Consul's command makes no such thing."""
    ca = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    signer = serialization.load_pem_private_key(authority.ca.with_name("consul-agent-ca-key.pem").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cli.dc1.consul")])
    made = (
        x509.CertificateBuilder(ca.subject, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now - timedelta(days=1))
        .sign(signer, hashes.SHA256())
    )
    found = Certificate(authority.ca, directory / "expired.pem", directory / "expired-key.pem")
    found.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.key.write_bytes(key.private_bytes(*form))
    return found


@pytest.fixture(scope="module")
def surroundings(cloud: SecuredCloud) -> Mapping[str, tuple[Mapping[str, str], str]]:
    """Return bad environments, each with the words that the one line must have."""
    good = cloud.handler_environ("ha-1")
    other = Authority(cloud.directory / "other-ca")
    own = cloud.authority
    garbage = cloud.directory / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    without = {name: value for name, value in good.items() if not name.startswith("CONSUL_CLIENT_")}
    plain = good["CONSUL_HTTP_ADDR"].replace("https://", "http://")
    no_tls = f"https://{cloud.openstack.url.removeprefix('http://').partition('/')[0]}"
    return {
        "no-ca": ({**good, "CONSUL_CACERT": ""}, "set CONSUL_CACERT"),
        "wrong-ca": ({**good, "CONSUL_CACERT": str(other.ca)}, "set CONSUL_CACERT"),
        "garbage-as-ca": ({**good, "CONSUL_CACERT": str(garbage)}, "mend the files of CONSUL_CACERT"),
        "no-client-certificate": (without, "set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"),
        "expired-client-certificate": (
            {**good, **expired(own, cloud.directory).access},
            "set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
        ),
        "another-cas-client-certificate": (
            {**good, **other.operator().access, "CONSUL_CACERT": str(own.ca)},
            "set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
        ),
        "garbage-as-client-certificate": ({**good, "CONSUL_CLIENT_CERT": str(garbage)}, "CONSUL_CLIENT_CERT"),
        "key-of-another-certificate": (
            {**good, "CONSUL_CLIENT_KEY": str(own.operator().key)},
            "CONSUL_CLIENT_KEY",
        ),
        "certificate-without-its-key": ({**good, "CONSUL_CLIENT_KEY": ""}, "set both"),
        "plain-http": ({**good, "CONSUL_HTTP_ADDR": plain}, "CONSUL_HTTP_ADDR=https://"),
        "no-tls-there": ({**good, "CONSUL_HTTP_ADDR": no_tls}, "speaks no TLS"),
        "another-servers-name": ({**good, "CONSUL_TLS_SERVER_NAME": "server.dc2.consul"}, "CONSUL_TLS_SERVER_NAME"),
    }


CASES = (
    *("no-ca", "wrong-ca", "garbage-as-ca", "no-client-certificate", "expired-client-certificate"),
    *("another-cas-client-certificate", "garbage-as-client-certificate", "key-of-another-certificate"),
    *("certificate-without-its-key", "plain-http", "no-tls-there", "another-servers-name"),
)


@pytest.mark.parametrize("case", CASES)
def test_whoever_is_not_let_in_says_so_in_one_line_with_what_helps_and_does_nothing(
    cloud: SecuredCloud, surroundings: Mapping[str, tuple[Mapping[str, str], str]], case: str
) -> None:
    environ, words = surroundings[case]
    before = cloud.store().list("ha_cluster/incidents/")
    for program, *arguments in COMMANDS:
        done = cloud.run(program, *arguments, environ=environ)
        said = done.stdout + done.stderr
        assert done.returncode == 1, (program, done)
        assert words in said, (program, done)
        assert len(said.splitlines()) == 1, done
        assert "Traceback" not in said
    assert cloud.store().list("ha_cluster/incidents/") == before
    assert cloud.store().get("ha_cluster/paused") is None


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"CONSUL_HTTP_SSL": "true", "scheme": ""}, id="CONSUL_HTTP_SSL"),
        pytest.param({"CONSUL_HTTP_SSL_VERIFY": "false", "CONSUL_CACERT": ""}, id="CONSUL_HTTP_SSL_VERIFY"),
        pytest.param({"CONSUL_TLS_SERVER_NAME": "client.dc1.consul"}, id="CONSUL_TLS_SERVER_NAME"),
        pytest.param({"CONSUL_CAPATH": "folder", "CONSUL_CACERT": ""}, id="CONSUL_CAPATH"),
    ],
)
def test_consuls_own_variables_mean_what_they_mean_to_consul(cloud: SecuredCloud, environ: dict[str, str]) -> None:
    used = {**cloud.handler_environ("ha-1"), **environ}
    if used.pop("scheme", None) is not None:
        used["CONSUL_HTTP_ADDR"] = used["CONSUL_HTTP_ADDR"].removeprefix("https://")
    if "CONSUL_CAPATH" in used:
        used["CONSUL_CAPATH"] = str(folder_of_cas(cloud))

    def shown() -> bool:
        done = cloud.run("nova-ha", "status", environ=used)
        assert (done.returncode, done.stderr) == (0, "")
        return "2 compute nodes: 2 well" in done.stdout

    cloud.wait(shown, "both hosts to be seen well")


def folder_of_cas(cloud: SecuredCloud) -> Path:
    """Return a folder as CONSUL_CAPATH may name it: the CA's file, and something else."""
    folder = cloud.directory / "cas"
    folder.mkdir(exist_ok=True)
    shutil.copy(cloud.authority.ca, folder / "ours.pem")
    (folder / "README").write_text("no certificate")
    return folder


def test_a_hung_host_is_recovered_whole_and_nobody_listens_without_tls(cloud: SecuredCloud) -> None:
    host = cloud.host()
    for name in (*cloud.observers, "server-1"):
        agent = {**cloud.consul.clients, "server-1": cloud.consul.servers[0]}[name]
        settings = json.loads((agent.directory / "sandbox.json").read_text())
        assert (settings["verify_incoming"], settings["ports"]["http"], bool(settings["encrypt"])) == (True, -1, True)
    host.hang()
    cloud.audit_recovered(host)
    drivers = {step.by for step in cloud.finished(host).steps}
    assert drivers <= set(cloud.observers)
    # Also the watches spoke TLS: nothing was left to the timer alone.
    assert cloud.handler_runs() > 0


def test_a_host_is_recovered_where_the_servers_ask_for_the_right_to_list() -> None:
    """With Consul's default, `acl.enable_key_list_policy` off, all the other whole recoveries run."""
    with WholeCloud(WholePlan(compute=1, key_list_policy=True)) as cloud:
        host = cloud.host()
        host.hang()
        cloud.audit_recovered(host)
        assert cloud.command("status").returncode == 0
        for name in cloud.observers:
            assert "Consul refuses" not in cloud.log(name)
